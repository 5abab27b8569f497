import { join } from 'node:path';
import { makeFile, writeList } from '../inputs.ts';
import type { Row } from '../row.ts';

const GIB = 1024 ** 3;

export const bigLocal: Row = {
  name: 'big-local',
  title: 'one local copy of 4 GiB with its sha256',
  async prepare(stage) {
    const size = stage.quick ? GIB / 4 : 4 * GIB;
    const inputs = await stage.folder('in');
    const output = join(stage.directory, 'out');
    const { sha256 } = await makeFile(inputs, 'big.bin', size);
    const [from, to] = [`${inputs}/big.bin`, `${output}/big.bin`];
    const list = await writeList(join(stage.directory, 'list.json'), [
      { from: `file://${from}`, to: `file://${to}`, sha256 },
    ]);
    return {
      contenders: [
        { name: 'bridle', words: [stage.bridle, 'transfer', '--quiet', '--file', list], output },
        { name: 'cp', words: ['cp', from, to], output },
        { name: 'openssl dgst', words: ['openssl', 'dgst', '-sha256', from], needs: 'openssl' },
      ],
      bars: [{ contender: 'bridle', against: ['cp', 'openssl dgst'], time: 1.2 }],
      mostMemory: 150,
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
      leaves: { files: 1, bytes: size },
    };
  },
};
