import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { RunningFtp } from '../../fixtures/servers/ftp.ts';
import { LOGIN, type RunningNginx, startServer } from '../../fixtures/servers/servers.ts';

/** One kind of place, running: files can be put there and looked at past the product. */
export interface MatrixPlace {
  /** The URL of a name, as a source or a destination, with whatever login it needs. */
  url(name: string): string;
  put(name: string, content: Uint8Array): Promise<void>;
  /** What is stored under the name; undefined when there is nothing. */
  look(name: string): Promise<Uint8Array | undefined>;
  /** Variables that the product needs to get in. */
  readonly env?: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/**
 * Who takes part, by name: every one is tried as the source and as the destination of every other and of itself. A new
 * protocol is one more row; `onDisk` is for servers whose files lie on this machine.
 */
export const PLACES: Readonly<Record<string, () => Promise<MatrixPlace>>> = {
  file: async () => {
    const root = fs.mkdtempSync(join(tmpdir(), 'bridle-matrix-'));
    const stop = async () => fs.rmSync(root, { recursive: true, force: true });
    return onDisk({ base: `file://${root}`, root, stop });
  },
  http: () => startServer('nginx').then((nginx) => nginxPlace(nginx, nginx.http)),
  https: () => startServer('nginx').then((nginx) => nginxPlace(nginx, nginx.https)),
  ftp: () => startServer('ftp').then((ftp) => ftpPlace(ftp, ftp.plain)),
  ftps: () => startServer('ftp').then((ftp) => ftpPlace(ftp, ftp.implicit)),
};

function nginxPlace({ dav, stop }: RunningNginx, base: string): MatrixPlace {
  return onDisk({ base: `${base}/-/dav`, root: dav, stop });
}

function ftpPlace({ root, stop }: RunningFtp, base: string): MatrixPlace {
  return onDisk({ base: base.replace('://', `://${LOGIN.username}:${LOGIN.password}@`), root, stop });
}

/** A place whose files are those below `root`. */
export function onDisk(place: {
  readonly base: string;
  readonly root: string;
  readonly env?: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}): MatrixPlace {
  const path = (name: string) => join(place.root, name);
  return {
    url: (name) => `${place.base}/${name}`,
    async put(name, content) {
      fs.mkdirSync(dirname(path(name)), { recursive: true });
      fs.writeFileSync(path(name), content);
    },
    look: async (name) => (fs.existsSync(path(name)) ? fs.readFileSync(path(name)) : undefined),
    ...(place.env ? { env: place.env } : {}),
    stop: place.stop,
  };
}
