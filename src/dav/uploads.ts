import { TransferError } from '../errors.ts';
import { keyOfPartial } from '../partial-name.ts';
import type { PartialCall, PartialWrite } from '../protocol.ts';
import { removeFile } from './collections.ts';
import { parentPath } from './paths.ts';
import { askSize } from './propfind.ts';
import { readFile } from './read.ts';
import type { DavService } from './service.ts';

/** What is known of uploads to one server that are no files yet. */
export interface Uploads {
  /** Names of partials that were kept for a next try, by key and path: for who has no journal. */
  readonly kept: Map<string, string>;
  /** Paths that a write or a claim of this process holds. */
  readonly held: Set<string>;
  /** The server stores the bytes of a PUT with Content-Range in their place. Undefined until it was seen. */
  takesRanges: boolean | undefined;
}

export function createUploads(): Uploads {
  return { kept: new Map(), held: new Set(), takesRanges: undefined };
}

/** Several destinations may share a key. */
export function keptKey(path: string, key: string): string {
  return `${key} ${path}`;
}

/**
 * The partial that an earlier try kept, or that `call.handle` of a journal names, claimed for this process; reading it
 * back proves it. Undefined where none is left, somebody has it, or nothing can go on with it: then it is removed.
 */
export async function claimPartial(
  service: DavService,
  path: string,
  call: PartialCall,
): Promise<PartialWrite | undefined> {
  const { kept, held } = service.uploads;
  const key = keptKey(path, call.key);
  const name = call.handle ?? kept.get(key);
  // Any other name would let a journal choose what is written to.
  if (name === undefined || keyOfPartial(name) !== call.key) return undefined;
  const partial = parentPath(path) + name;
  if (held.has(partial)) return undefined;
  held.add(partial);
  kept.delete(key);
  let size: number | undefined;
  try {
    size = (await askSize(service, partial, call.signal)).size;
    if (service.uploads.takesRanges === false) await removeFile(service, partial, call.signal);
  } catch (error) {
    held.delete(partial);
    if (error instanceof TransferError && error.code === 'not-found') return undefined;
    throw error;
  }
  if (size === undefined || service.uploads.takesRanges === false) {
    held.delete(partial);
    return undefined;
  }
  return {
    ranges: [{ start: 0, end: size }],
    handle: name,
    read: (read) => readFile(service, partial, read),
    async release(keep) {
      held.delete(partial);
      if (keep) kept.set(key, name);
      else await removeFile(service, partial, call.signal);
    },
  };
}
