import fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { StoragePlace } from './place.ts';

export interface OnDisk {
  /** The URL of `root`, without a slash at its end. */
  readonly base: string;
  readonly root: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Directories and files are made for everybody: the server is another user. */
  readonly isShared?: boolean;
  /** Names that are the server's own affair. */
  readonly ignores?: RegExp;
  stop(): Promise<void>;
}

/** A place whose files are those below `root` on this machine. */
export function onDisk(place: OnDisk): StoragePlace {
  const { root, isShared = false, ignores } = place;
  const path = (name: string) => join(root, name);

  function makeDirectory(directory: string): void {
    if (fs.existsSync(directory)) return;
    makeDirectory(dirname(directory));
    fs.mkdirSync(directory);
    if (isShared) fs.chmodSync(directory, 0o777);
  }

  return {
    url: (name) => `${place.base}/${name}`,
    async put(name, content) {
      makeDirectory(dirname(path(name)));
      const file = fs.openSync(path(name), 'w');
      for (const chunk of content) fs.writeSync(file, chunk);
      fs.closeSync(file);
      if (isShared) fs.chmodSync(path(name), 0o666);
    },
    async look(name) {
      if (!fs.existsSync(path(name))) return undefined;
      return fs.createReadStream(path(name), { highWaterMark: 1024 * 1024 });
    },
    remove: async (name) => fs.rmSync(path(name), { force: true }),
    async names() {
      const entries = fs.readdirSync(root, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => !entry.isDirectory());
      const names = files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
      return names.filter((name) => !ignores?.test(name));
    },
    uploads: async () => [],
    drop: async () => undefined,
    env: place.env ?? {},
    stop: place.stop,
  };
}
