import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mixedArchive } from '../mixed-content.ts';
import type { Row } from '../row.ts';
import { bundled } from './image.ts';

const SIZE = 256 * 1024 * 1024;
const MOST_MEMORY = 200;

export const zstdRate: Row = {
  name: 'zstd-rate',
  title: 'a layer of 256 MiB that zstd packed, and gzip, inflated without a look at its digest',
  async prepare(stage) {
    const size = stage.quick ? SIZE / 16 : SIZE;
    const program = await bundled(stage);
    const layer = join(stage.directory, 'layer.tar');
    await writeFile(layer, Buffer.concat([...mixedArchive(size, 1)]));
    const packed = [
      ['zstd', 'zst', ['-q', '-k', '-3']],
      ['gzip', 'gz', ['-k', '-6']],
    ] as const;
    for (const [name, , options] of packed) {
      if (spawnSync(name, [...options, layer]).status !== 0) throw new Error(`${name} made no layer`);
    }
    return {
      contenders: packed.flatMap(([name, ending]) => [
        {
          name: `bridle, ${name}`,
          words: [process.execPath, program, 'inflate', `${layer}.${ending}`],
          output: stage.directory.concat('/none'),
        },
        {
          name,
          words: ['sh', '-c', '"$0" -dc "$1" >/dev/null', name, `${layer}.${ending}`],
          needs: name,
          output: stage.directory.concat('/none'),
        },
      ]),
      bars: [],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
    };
  },
};
