import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import type { RunningFtp } from '../../fixtures/servers/ftp.ts';
import { LOGIN, type RunningNginx, startServer } from '../../fixtures/servers/servers.ts';
import { BUCKET, contentOf, gcsScene, store } from '../gcs-subject.ts';
import { s3Subject } from '../s3-subject.ts';

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
  dav: async () => {
    const { http, dav, stop } = await startServer('apache-dav');
    return onDisk({ base: `${http.replace('http', 'dav')}/open`, root: dav, stop });
  },
  sftp: async () => {
    const { username, port, files, keys, knownHosts, stop } = await startServer('sshd');
    const env = {
      SSH_PRIVATE_KEY: keys.ed25519,
      SSH_KNOWN_HOSTS: knownHosts,
      BRIDLE_SSH_CONFIG: '/dev/null',
    };
    return onDisk({ base: `sftp://${username}@127.0.0.1:${port}${files}`, root: files, env, stop });
  },
  s3: s3Place,
  gs: gsPlace,
};

async function s3Place(): Promise<MatrixPlace> {
  const { http, stop } = await startServer('ceph-rgw');
  const { look, put, path, close } = await s3Subject({
    access: { ...S3_USER, endpoint: http },
    bucket: 'matrix',
    stop,
  });
  return {
    url: (name) => `s3:/${path(name)}`,
    put,
    look,
    env: {
      AWS_ACCESS_KEY_ID: S3_USER.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_USER.secretAccessKey,
      AWS_ENDPOINT_URL_S3: http,
      AWS_REGION: 'default',
    },
    stop: close,
  };
}

async function gsPlace(): Promise<MatrixPlace> {
  const { emulator, close } = await gcsScene();
  return {
    url: (name) => `gs://${BUCKET}/${name}`,
    put: async (name, content) => store(emulator, name, content),
    look: async (name) => contentOf(emulator, name),
    env: { STORAGE_EMULATOR_HOST: emulator.origin },
    stop: close,
  };
}

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
