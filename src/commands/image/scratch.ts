import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toTransferError } from '../../errors.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../../local/scratch-directory.ts';
import type { Environment } from '../../request.ts';

/** A directory for what a command needs for a while. */
export interface Scratch {
  /** A new path in it, its last part `name` as far as that is plain; the directory is made when it is first asked for. Rejects with what the file system says. */
  path(name: string): Promise<string>;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/** A private directory below `TMPDIR`, which the next run removes when this one is killed. */
export function openScratch(env: Environment): Scratch {
  let made: Promise<ScratchDirectory> | undefined;
  let sequence = 0;
  return {
    async path(name) {
      const parent = env.TMPDIR || '/tmp';
      made ??= makeScratchDirectory(join(parent, 'bridle-image')).catch((error: unknown) => {
        throw toTransferError(error, `making a directory in \`${parent}\``);
      });
      sequence += 1;
      const own = join((await made).path, String(sequence));
      await mkdir(own);
      // Names come from URLs.
      return join(
        own,
        name
          .replace(/[^\w.+-]/g, '_')
          .slice(-100)
          .replace(/^\.*$/, 'file'),
      );
    },
    async remove() {
      const directory = await made?.catch(() => undefined);
      made = undefined;
      await directory?.close();
    },
  };
}
