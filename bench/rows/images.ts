import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PushedImage, pushImage } from '../made-image.ts';
import type { Contender, Row } from '../row.ts';
import type { Stage } from '../stage.ts';
import { flattened } from './image.ts';

const MANY = fileURLToPath(new URL('../image-many.mjs', import.meta.url));
const MIB = 1024 * 1024;
const MOST_MEMORY = 200;

async function pushed(stage: Stage): Promise<PushedImage> {
  const made = await pushImage(stage, { layers: 8, size: (stage.quick ? 1 : 64) * MIB });
  await rm(made.layout, { recursive: true });
  return made;
}

/** As the images of workflows are: 8 layers, 1 GiB together, of which gzip leaves less than half. */
const pushedMixed = (stage: Stage, size = 1024): Promise<PushedImage> =>
  pushImage(stage, { layers: 8, size: ((stage.quick ? 8 : size) / 8) * MIB, isMixed: true });

function pull(stage: Stage, name: string, output: string, more: readonly string[]): string[] {
  const state = ['--state', join(output, 'state')];
  return [stage.bridle, 'image', 'pull', '-q', ...state, ...more, name, `docker-archive:${output}/a.tar`];
}

export const imagePull: Row = {
  name: 'image-pull',
  title: 'an image of 1 GiB in 8 gzipped layers to a docker-archive',
  async prepare(stage) {
    const { name, bytes, layout } = await pushedMixed(stage);
    await rm(layout, { recursive: true });
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

export const imagePullSif: Row = {
  name: 'image-pull-sif',
  title: 'the same image to a SIF file',
  runs: 3,
  async prepare(stage) {
    const { name, layout, layers } = await pushedMixed(stage);
    const [ours, theirs] = [await stage.folder('ours'), await stage.folder('theirs')];
    const flat = await flattened(stage, layers);
    await rm(layout, { recursive: true });
    const state = ['--state', join(ours, 'state')];
    const bridle: Contender = {
      name: 'bridle',
      words: [stage.bridle, 'image', 'pull', '-q', ...state, name, `sif:${ours}/image.sif`],
      needs: 'tar2sqfs',
      output: ours,
    };
    const alone: Contender = {
      name: 'tar2sqfs alone',
      words: [
        'sh',
        '-c',
        'tar2sqfs --quiet --no-skip --compressor gzip "$1" <"$0"',
        flat,
        join(theirs, 'squashfs'),
      ],
      needs: 'tar2sqfs',
      output: theirs,
    };
    return {
      contenders: [bridle, alone],
      bars: [{ contender: bridle.name, against: [alone.name], time: 1.15 }],
      mostMemory: MOST_MEMORY,
    };
  },
};

export const imageMemory: Row = {
  name: 'image-memory',
  title: 'an image of 4 GiB in 8 layers, every way it goes',
  runs: 0,
  async prepare(stage) {
    const { name, layout } = await pushedMixed(stage, 4096);
    const output = await stage.folder('out');
    const way = (what: string, ...words: string[]): Contender => ({
      name: `bridle, ${what}`,
      words: [stage.bridle, 'image', ...words],
      output,
    });
    const state = ['--state', join(output, 'state')];
    return {
      contenders: [
        way('pull to an archive', 'pull', '-q', ...state, name, `docker-archive:${output}/a.tar`),
        way('pull to a SIF file', 'pull', '-q', ...state, name, `sif:${output}/a.sif`),
        way('convert to a SIF file', 'convert', '-q', `oci:${layout}`, `sif:${output}/a.sif`),
        way('convert to an archive', 'convert', '-q', `oci:${layout}`, `oci-archive:${output}/a.tar`),
        way('convert to a sandbox', 'convert', '-q', `oci:${layout}`, `sandbox:${output}/a`),
        way('push', 'push', '-q', `oci:${layout}`, `${name.replace(/:1$/, '')}-again:1`),
        way('verify', 'verify', '-q', `oci:${layout}`),
      ],
      bars: [],
      mostMemory: MOST_MEMORY,
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
