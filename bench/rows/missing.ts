import { join } from 'node:path';
import { writeList } from '../inputs.ts';
import type { Row } from '../row.ts';
import { NODE } from './node.ts';

export const missing: Row = {
  name: 'missing',
  title: 'one local file that is not there, as many attempts as usual',
  runs: 11,
  async prepare({ directory, pegasusTransfer }) {
    const list = await writeList(join(directory, 'list.json'), [
      { from: `file://${directory}/absent`, to: `file://${directory}/out/absent` },
    ]);
    return {
      contenders: [{ name: 'pegasus-transfer', words: [pegasusTransfer, '--file', list], status: 1 }, NODE],
      bars: [{ contender: 'pegasus-transfer', against: [NODE.name], time: 3 }],
    };
  },
};
