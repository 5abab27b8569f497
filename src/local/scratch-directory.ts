import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { dirname } from 'node:path';
import { toTransferError } from '../errors.ts';
import { closeFolders, inPartialFolder, newPartial, releasePartial } from './partials.ts';

/** Milliseconds between signs of life, for machines that see the directory and not this process; see `writerLives`. */
const HEARTBEAT_MS = 60_000;

/** A directory that only we can enter, and that a later run removes when this process is killed. */
export interface ScratchDirectory {
  readonly path: string;
  /** Ends our interest in it: removes it, unless it has another name by now. */
  close(): Promise<void>;
}

/** A new one in the folder for partials beside `path`, so that what is made in it gets that name by a rename. */
export async function makeScratchDirectory(path: string): Promise<ScratchDirectory> {
  const key = createHash('sha256').update(`scratch ${path}`).digest('hex').slice(0, 32);
  try {
    const made = await inPartialFolder(dirname(path), async (place) => {
      const name = newPartial(place, key, 'dir');
      fs.mkdirSync(name, { mode: 0o700 });
      return name;
    });
    const beat = setInterval(() => touch(made), HEARTBEAT_MS).unref();
    return {
      path: made,
      async close() {
        clearInterval(beat);
        fs.rmSync(made, { recursive: true, force: true });
        releasePartial(made);
        await closeFolders();
      },
    };
  } catch (error) {
    throw toTransferError(error, `make a directory beside \`${path}\``);
  }
}

function touch(path: string): void {
  const now = new Date();
  try {
    fs.utimesSync(path, now, now);
  } catch {
    // It has its name by now.
  }
}
