import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listEntry, makeFile } from '../inputs.ts';
import type { Row } from '../row.ts';

const SIZE = 100;
const IN_ONE_DIRECTORY = 1000;

export const million: Row = {
  name: 'million',
  title: 'a list of 1,000,000 local copies of 100 bytes',
  // Minutes each: memory is the question.
  runs: 0,
  async prepare(stage) {
    const count = stage.quick ? 20_000 : 1_000_000;
    const inputs = await stage.folder('in');
    const output = join(stage.directory, 'out');
    await makeFile(inputs, 'small.bin', SIZE);
    const list = join(stage.directory, 'list.json');
    await pipeline(
      Readable.from(entries(count, `file://${inputs}/small.bin`, output)),
      createWriteStream(list),
    );
    const transfer = [stage.bridle, 'transfer', '--quiet', '-n', '16', '--file', list];
    return {
      contenders: [{ name: 'bridle -n 16', words: transfer, output }],
      bars: [],
      mostMemory: 400,
      moves: { count, unit: 'files' },
      leaves: { files: count, bytes: count * SIZE },
    };
  },
};

/** A thousand entries at a time. */
function* entries(count: number, from: string, output: string): Generator<string> {
  yield '[';
  for (let start = 0; start < count; start += IN_ONE_DIRECTORY) {
    const directory = `file://${output}/${start / IN_ONE_DIRECTORY}`;
    const many = Array.from({ length: Math.min(IN_ONE_DIRECTORY, count - start) }, (_, index) =>
      JSON.stringify(listEntry({ from, to: `${directory}/${index}.bin` })),
    );
    yield (start === 0 ? '' : ',\n') + many.join(',\n');
  }
  yield ']\n';
}
