import { join } from 'node:path';
import { makeFile, writeList } from '../inputs.ts';
import type { Contender, Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';
import { copyByRclone, type SshHost, sftpBatch, sshHost } from './ssh-host.ts';

const GIB = 1024 ** 3;

export const sftpUp: Row = {
  name: 'sftp-up',
  title: 'one file of 1 GiB to an SFTP server, with its sha256',
  prepare: (stage) => prepare(stage, 'up', {}),
};

export const sftpDown: Row = {
  name: 'sftp-down',
  title: 'one file of 1 GiB from an SFTP server, with its sha256',
  prepare: (stage) => prepare(stage, 'down', {}),
};

/** What all of them agree on when the server offers nothing else; without it rclone picks it, and ssh another. */
const GCM = 'aes128-gcm@openssh.com';

export const sftpUpGcm: Row = {
  name: 'sftp-up-gcm',
  title: `the same with a server that speaks ${GCM} only`,
  prepare: (stage) => prepare(stage, 'up', { cipher: GCM }),
};

export const sftpDownGcm: Row = {
  name: 'sftp-down-gcm',
  title: `the same with a server that speaks ${GCM} only`,
  prepare: (stage) => prepare(stage, 'down', { cipher: GCM }),
};

async function prepare(
  stage: Stage,
  way: 'up' | 'down',
  { cipher }: { readonly cipher?: string },
): Promise<Contest> {
  const size = stage.quick ? GIB / 8 : GIB;
  const server = await stage.server('sshd', cipher === undefined ? {} : { sshdConfig: `Ciphers ${cipher}` });
  const host = sshHost(server);
  const here = await stage.folder('here');
  const there = server.files;
  const from = way === 'up' ? here : there;
  const output = join(way === 'up' ? there : stage.directory, 'out');
  const { sha256 } = await makeFile(from, 'big.bin', size);
  const peers = { from: join(from, 'big.bin'), to: join(output, 'big.bin'), way };
  const contenders = [
    await copyByBridle(stage, host, { ...peers, sha256, output }),
    { ...(await sftpBatch(stage, host, peers)), output },
    { ...copyByRclone(host, peers), output },
    { ...copyByRclone(host, { ...peers, isUnchecked: true }), output },
  ];
  return {
    contenders,
    bars: [
      { contender: 'bridle', against: ['sftp'], speed: 0.95 },
      { contender: 'bridle', against: ['rclone'], speed: 1 },
      { contender: 'bridle', against: ['rclone, unchecked'], speed: 1 },
    ],
    mostMemory: 250,
    moves: { count: Math.round(size / 1e6), unit: 'MB' },
    leaves: { files: 1, bytes: size },
    servers: [server.pid],
  };
}

/** bridle with a list of one file. */
export async function copyByBridle(
  stage: Stage,
  host: SshHost,
  move: {
    readonly from: string;
    readonly to: string;
    readonly way: 'up' | 'down';
    readonly sha256: string;
    readonly output: string;
  },
): Promise<Contender> {
  const { way, sha256, output } = move;
  const remote = (path: string) => `${host.url}${path}`;
  const list = await writeList(join(stage.directory, 'list.json'), [
    {
      from: way === 'up' ? `file://${move.from}` : remote(move.from),
      to: way === 'up' ? remote(move.to) : `file://${move.to}`,
      sha256,
    },
  ]);
  return {
    name: 'bridle',
    words: [...host.env, stage.bridle, 'transfer', '--quiet', '--file', list],
    output,
  };
}
