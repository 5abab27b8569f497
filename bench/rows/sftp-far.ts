import { join } from 'node:path';
import { startWan } from '../../fixtures/servers/wan.ts';
import { makeFile } from '../inputs.ts';
import type { Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';
import { copyByBridle } from './sftp.ts';
import { copyByRclone, copyByScp, sftpBatch, sshHost } from './ssh-host.ts';

const SIZE = 512 * 1024 ** 2;
/** Milliseconds one way; and Mbit/s, many times what one ssh gets across. */
const LINE = { delay: 50, rate: 2000 };
const TITLE = `at ${2 * LINE.delay} ms, one file of 512 MiB with its sha256`;

export const sftpFarUp: Row = {
  name: 'sftp-far-up',
  title: `to an SFTP server ${TITLE}`,
  runs: 3,
  prepare: (stage) => prepare(stage, 'up'),
};

export const sftpFarDown: Row = {
  name: 'sftp-far-down',
  title: `from an SFTP server ${TITLE}`,
  runs: 3,
  prepare: (stage) => prepare(stage, 'down'),
};

async function prepare(stage: Stage, way: 'up' | 'down'): Promise<Contest> {
  const size = stage.quick ? SIZE / 16 : SIZE;
  const wan = await stage.uses(() => startWan(join(stage.directory, 'wan'), LINE));
  const server = await stage.server('sshd', { wan });
  const host = sshHost(server);
  const here = await stage.folder('here');
  const from = way === 'up' ? here : server.files;
  const output = join(way === 'up' ? server.files : stage.directory, 'out');
  const { sha256 } = await makeFile(from, 'big.bin', size);
  const move = { from: join(from, 'big.bin'), to: join(output, 'big.bin'), way };
  return {
    contenders: [
      await copyByBridle(stage, host, { ...move, sha256, output }),
      { ...copyByScp(host, move), output },
      { ...(await sftpBatch(stage, host, move)), output },
      { ...copyByRclone(host, { ...move, isUnchecked: true }), output },
    ],
    bars: [{ contender: 'bridle', against: ['scp'], speed: 3 }],
    mostMemory: 250,
    moves: { count: Math.round(size / 1e6), unit: 'MB' },
    leaves: { files: 1, bytes: size },
    servers: [server.pid],
  };
}
