import { TransferError } from '../errors.ts';
import { newNonce } from '../local/writer.ts';
import { plainPartialName } from '../partial-name.ts';
import type { Digest, Staged, Stored } from '../protocol.ts';
import { removeFile } from './collections.ts';
import { parentPath } from './paths.ts';
import { type Publication, publish } from './publish.ts';
import { readFile } from './read.ts';
import type { DavService } from './service.ts';

/** Milliseconds for taking back what was staged: a canceled run ends within five seconds. */
const CLEAR_UP = 3000;

/** Where a write to `path` is staged: in the same directory, since a MOVE across may be a copy. */
export function stagingPath(path: string, key: string): string {
  return parentPath(path) + plainPartialName(key, newNonce());
}

/** Takes a staged file away, as well as that can be done; what stays is found by its name. */
export async function dropStaged(service: DavService, partial: string): Promise<void> {
  await removeFile(service, partial, AbortSignal.timeout(CLEAR_UP)).catch(() => undefined);
}

export interface StagedFile {
  /** Where it is. */
  readonly partial: string;
  readonly path: string;
  readonly size: number | undefined;
  readonly digests: readonly Digest[];
  /** The engine's policy for the MOVE. */
  readonly retry?: (unit: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  /** A commit that fails keeps it for a later try. */
  readonly mayKeep?: boolean;
  /** Ends the upload without a commit, or after one that failed; without it, it is dropped. */
  readonly close?: (keep: boolean) => Promise<void>;
  /** It was moved, and is a partial no longer. */
  readonly onMoved?: () => void;
}

/** A file under a name of ours that commit moves to its own. */
export function stagedFile(service: DavService, file: StagedFile): Staged {
  const { partial, path, size, digests, mayKeep = false } = file;
  const close = file.close ?? (() => dropStaged(service, partial));
  return {
    read: (call) => readFile(service, partial, call),
    async commit(signal): Promise<Stored> {
      const publication: Publication = { from: partial, to: path, size, mayBeDone: false };
      const unit = (within: AbortSignal) => publish(service, publication, within);
      try {
        await (file.retry ? file.retry(unit) : unit(signal));
        file.onMoved?.();
      } catch (error) {
        await close(mayKeep);
        throw error;
      }
      return { size, digests };
    },
    abort: (options) => close(options?.keep ?? false),
  };
}

/** Refuses a path that can only be a directory's. */
export function requireFilePath(path: string, doing: string): void {
  if (/\/(?:\?.*)?$/s.test(path)) {
    throw new TransferError(
      'invalid-request',
      `${doing}: expected the path of a file, got one that ends in \`/\``,
    );
  }
}
