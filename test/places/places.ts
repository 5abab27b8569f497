import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { LOGIN, type RunningNginx, startServer } from '../../fixtures/servers/servers.ts';
import { inGcs } from './in-gcs.ts';
import { inS3 } from './in-s3.ts';
import { onDisk } from './on-disk.ts';
import type { StoragePlace } from './place.ts';

/** A new kind of storage is one more row: everything that is tried with every kind is tried with it. */
export const PLACES = {
  file: startFile,
  http: () => startServer('nginx').then((nginx) => inNginx(nginx, nginx.http)),
  https: () => startServer('nginx').then((nginx) => inNginx(nginx, nginx.https)),
  ftp: () => startFtp('plain'),
  ftps: () => startFtp('implicit'),
  dav: startDav,
  sftp: startSftp,
  s3: startS3,
  gs: () => startGcsEmulator().then(inGcs),
} as const satisfies Readonly<Record<string, () => Promise<StoragePlace>>>;

export type PlaceName = keyof typeof PLACES;

async function startFile(): Promise<StoragePlace> {
  const root = mkdtempSync(join(tmpdir(), 'bridle-place-'));
  return onDisk({
    base: `file://${root}`,
    root,
    stop: async () => rmSync(root, { recursive: true, force: true }),
  });
}

function inNginx({ dav, stop }: RunningNginx, base: string): StoragePlace {
  return onDisk({ base: `${base}/-/dav`, root: dav, stop });
}

async function startFtp(port: 'plain' | 'implicit'): Promise<StoragePlace> {
  const ftp = await startServer('ftp');
  const base = ftp[port].replace('://', `://${LOGIN.username}:${LOGIN.password}@`);
  return onDisk({ base, root: ftp.root, stop: ftp.stop });
}

async function startDav(): Promise<StoragePlace> {
  const { http, dav, stop } = await startServer('apache-dav');
  const root = join(dav, 'place');
  mkdirSync(root);
  chmodSync(root, 0o777);
  const base = `${http.replace('http', 'dav')}/open/place`;
  // What Apache itself has not stored yet.
  return onDisk({ base, root, isShared: true, ignores: /(?:^|\/)\.davfs\.tmp/, stop });
}

async function startSftp(): Promise<StoragePlace> {
  const { username, port, files, keys, knownHosts, stop } = await startServer('sshd');
  const env = {
    SSH_PRIVATE_KEY: keys.ed25519,
    SSH_KNOWN_HOSTS: knownHosts,
    BRIDLE_SSH_CONFIG: '/dev/null',
    PATH: process.env.PATH ?? '',
  };
  return onDisk({ base: `sftp://${username}@127.0.0.1:${port}${files}`, root: files, env, stop });
}

async function startS3(): Promise<StoragePlace> {
  const ceph = await startServer('ceph-rgw');
  const place = await inS3(ceph, 'place');
  return { ...place, stop: () => place.stop().finally(ceph.stop) };
}
