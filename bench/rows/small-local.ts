import { join } from 'node:path';
import { makeFiles, writeList } from '../inputs.ts';
import type { Row } from '../row.ts';
import { NODE } from './node.ts';

const SIZE = 1024;

export const smallLocal: Row = {
  name: 'small-local',
  title: '1,000 local files of 1 KiB with generate_checksum, as many threads as usual',
  async prepare(stage) {
    const count = stage.quick ? 100 : 1000;
    const inputs = await stage.folder('in');
    const output = join(stage.directory, 'out');
    const files = await makeFiles(inputs, count, SIZE);
    const list = await writeList(
      join(stage.directory, 'list.json'),
      files.map(({ name }) => ({
        from: `file://${inputs}/${name}`,
        to: `file://${output}/${name}`,
        generateChecksum: true,
      })),
    );
    return {
      contenders: [
        { name: 'pegasus-transfer', words: [stage.pegasusTransfer, '--file', list], output },
        NODE,
      ],
      bars: [{ contender: 'pegasus-transfer', against: [NODE.name], time: 12 }],
      mostMemory: 150,
      moves: { count, unit: 'files' },
      leaves: { files: count, bytes: count * SIZE },
    };
  },
};
