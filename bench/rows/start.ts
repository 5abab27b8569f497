import { join } from 'node:path';
import { makeFile, writeList } from '../inputs.ts';
import type { Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';
import { NODE } from './node.ts';

/** Short ones, so more of them. */
const RUNS = 21;
const SIZE = 1024;

export const startVersion: Row = {
  name: 'start-version',
  title: 'the shortest run there is',
  runs: RUNS,
  prepare: async ({ bridle }) => ({
    contenders: [{ name: 'bridle --version', words: [bridle, '--version'] }, NODE],
    bars: [{ contender: 'bridle --version', against: [NODE.name], time: 1.6 }],
  }),
};

export const startLocal: Row = {
  name: 'start-local',
  title: 'one local file of 1 KiB, checked, from start to finish',
  runs: RUNS,
  async prepare(stage) {
    const inputs = await stage.folder('in');
    const file = await makeFile(inputs, 'small.bin', SIZE);
    return oneFile(stage, `file://${inputs}/small.bin`, file.sha256, 2.5);
  },
};

export const startHttp: Row = {
  name: 'start-http',
  title: 'one file of 1 KiB over HTTP, checked, from start to finish',
  runs: RUNS,
  async prepare(stage) {
    const { url, root } = await stage.web();
    const file = await makeFile(root, 'small.bin', SIZE);
    return oneFile(stage, `${url}/small.bin`, file.sha256, 4);
  },
};

async function oneFile(stage: Stage, from: string, sha256: string, time: number): Promise<Contest> {
  const output = join(stage.directory, 'out');
  const list = await writeList(join(stage.directory, 'list.json'), [
    { from, to: `file://${output}/small.bin`, sha256 },
  ]);
  return {
    contenders: [
      { name: 'bridle', words: [stage.bridle, 'transfer', '--quiet', '--file', list], output },
      NODE,
    ],
    bars: [{ contender: 'bridle', against: [NODE.name], time }],
    leaves: { files: 1, bytes: SIZE },
  };
}
