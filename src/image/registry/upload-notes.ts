import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { writerId, writerLives } from '../../local/writer.ts';
import { readHandle, writeHandle } from '../../resume-handle.ts';

/** Registries end uploads that nobody goes on with; Debian's does so after a week. */
const STALE_MS = 7 * 86_400_000;
const NAME_SHAPE = /^(([0-9a-f]{32})-([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12})-[0-9a-f]+)\.handle(\.new)?$/;

/** What is known on this machine of one upload, and held by this process alone until `release` or `remove`. */
export interface UploadNote {
  /** Where the upload goes on, as an earlier run wrote it down; a secret for some registries. */
  readonly left: string | undefined;
  /** Writes down where it goes on, whole or not at all, for this user only. */
  keep(location: string): void;
  /** Leaves it for a later run. */
  release(): void;
  /** The upload is no more, or has become a blob. */
  remove(): void;
}

/** Nothing is written down. */
export const NO_NOTE: UploadNote = {
  left: undefined,
  keep: () => undefined,
  release: () => undefined,
  remove: () => undefined,
};

/** Stems of notes that this process holds. */
const held = new Set<string>();
let sequence = 0;

/**
 * The note of the upload of `digest` to `place` (registry and repository, without secrets): with what a dead process left
 * of it, the latest first. Notes are files of mode 0600 in `folder`, which is made when first needed; what is there for
 * longer than a week is removed. Where nothing can be written, nothing is kept.
 */
export function claimUpload(folder: string, place: string, digest: string): UploadNote {
  const key = createHash('sha256').update(`${place} ${digest}`).digest('hex').slice(0, 32);
  sequence += 1;
  const stem = join(folder, `${key}-${writerId()}-${sequence.toString(16)}`);
  held.add(stem);
  const left = takeOver(folder, key, stem);
  return {
    left,
    keep(location) {
      try {
        fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
        writeHandle(stem, { handle: location, destination: place });
      } catch {
        // A broken upload is then begun anew: no reason to send nothing.
      }
    },
    release: () => void held.delete(stem),
    remove() {
      fs.rmSync(`${stem}.handle`, { force: true });
      held.delete(stem);
    },
  };
}

function takeOver(folder: string, key: string, stem: string): string | undefined {
  const now = Date.now();
  const found: { readonly stem: string; readonly touched: number }[] = [];
  for (const name of namesIn(folder)) {
    const [, own, of, writer = '', unfinished] = NAME_SHAPE.exec(name) ?? [];
    if (own === undefined) continue;
    const path = join(folder, name);
    const touched = fs.lstatSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (touched === undefined || lives(join(folder, own), writer, touched, now)) continue;
    if (unfinished !== undefined || now - touched > STALE_MS) fs.rmSync(path, { force: true });
    else if (of === key) found.push({ stem: join(folder, own), touched });
  }
  for (const { stem: from } of found.sort((one, other) => other.touched - one.touched)) {
    try {
      // One rename, which only one process can do.
      fs.renameSync(`${from}.handle`, `${stem}.handle`);
    } catch {
      continue;
    }
    const handle = readHandle(stem)?.handle;
    if (handle !== undefined) return handle;
    fs.rmSync(`${stem}.handle`, { force: true });
  }
  return undefined;
}

function lives(stem: string, writer: string, touched: number, now: number): boolean {
  return writer === writerId() ? held.has(stem) : writerLives(writer, touched, now);
}

function namesIn(folder: string): readonly string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}
