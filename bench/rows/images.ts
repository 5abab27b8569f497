import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PushedImage, pushImage } from '../made-image.ts';
import type { Contender, Row } from '../row.ts';
import type { Stage } from '../stage.ts';

const MANY = fileURLToPath(new URL('../image-many.mjs', import.meta.url));
const MIB = 1024 * 1024;
const MOST_MEMORY = 200;

async function pushed(stage: Stage): Promise<PushedImage> {
  const made = await pushImage(stage, 8, (stage.quick ? 1 : 64) * MIB);
  await rm(join(stage.directory, 'layout'), { recursive: true });
  return made;
}

function pull(stage: Stage, name: string, output: string, more: readonly string[]): string[] {
  const state = ['--state', join(output, 'state')];
  return [stage.bridle, 'image', 'pull', '-q', ...state, ...more, name, `docker-archive:${output}/a.tar`];
}

export const imagePull: Row = {
  name: 'image-pull',
  title: 'an image of 8 gzipped layers of 64 MiB to a docker-archive',
  async prepare(stage) {
    const { name, bytes } = await pushed(stage);
    const [ours, theirs] = [await stage.folder('ours'), await stage.folder('theirs')];
    const bridle: Contender = { name: 'bridle', words: pull(stage, name, ours, []), output: ours };
    const cached: Contender = {
      name: 'bridle, with an empty cache',
      words: pull(stage, name, ours, ['--cache', join(ours, 'cache')]),
      output: ours,
    };
    const skopeo: Contender = {
      name: 'skopeo',
      words: [
        ...['skopeo', 'copy', '-q', '--src-tls-verify=false'],
        ...[`docker://${name}`, `docker-archive:${theirs}/a.tar`],
      ],
      needs: 'skopeo',
      output: theirs,
    };
    return {
      contenders: [bridle, cached, skopeo],
      bars: [
        { contender: bridle.name, against: [skopeo.name], speed: 1.2 },
        { contender: cached.name, against: [skopeo.name], speed: 1.2 },
      ],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round(bytes / 1e6), unit: 'MB' },
    };
  },
};

export const imageWarm: Row = {
  name: 'image-warm',
  title: 'the same image for the second time, through the cache',
  async prepare(stage) {
    const { name } = await pushed(stage);
    const [first, again] = [await stage.folder('first'), await stage.folder('again')];
    const cold: Contender = {
      name: 'bridle, first',
      words: pull(stage, name, first, ['--cache', join(first, 'cache')]),
      output: first,
    };
    const warm: Contender = {
      name: 'bridle, again',
      words: pull(stage, name, again, ['--cache', join(stage.directory, 'cache')]),
      output: again,
    };
    return {
      contenders: [cold, warm],
      bars: [{ contender: warm.name, against: [cold.name], time: 0.15 }],
      mostMemory: MOST_MEMORY,
    };
  },
};

export const imageMany: Row = {
  name: 'image-many',
  title:
    '64 pulls of the same image at a time: a contender ends well when the registry sent little more than once',
  runs: 2,
  async prepare(stage) {
    const { name, port, bytes } = await pushed(stage);
    const output = await stage.folder('many');
    const words = [process.execPath, MANY, stage.bridle, name, String(port), String(bytes), output];
    return {
      contenders: [
        { name: '64 pulls', words: [...words, '1.02'], output },
        { name: '64 pulls, one that fetches killed', words: [...words, '1.10', 'kill'], output },
      ],
      bars: [],
    };
  },
};
