import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { makeFile } from '../inputs.ts';
import type { Row } from '../row.ts';
import type { Stage } from '../stage.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MIB = 1024 ** 2;
/** MiB, whatever the image holds. */
const MOST_MEMORY = 200;
const LAYERS = 4;
const FILES = 16;

export const imageSif: Row = {
  name: 'image-sif',
  title: 'a SIF file of an image of 128 MiB in four layers',
  runs: 3,
  async prepare(stage) {
    const program = await bundled(stage);
    const layers = await makeLayers(stage, (stage.quick ? 16 : 128) * MIB);
    const output = await stage.folder('out');
    const flat = join(stage.disk, 'flat.tar');
    run('sh', ['-c', '"$0" "$@" >"$FLAT"', process.execPath, program, 'tar', ...layers], { FLAT: flat });
    const alone = 'tar2sqfs --quiet --compressor gzip "$1" <"$0"';
    return {
      contenders: [
        {
          name: 'bridle',
          words: [process.execPath, program, 'sif', join(output, 'image.sif'), ...layers],
          needs: 'tar2sqfs',
          output,
        },
        {
          name: 'tar2sqfs alone',
          words: ['sh', '-c', alone, flat, join(output, 'squashfs')],
          needs: 'tar2sqfs',
          output,
        },
      ],
      bars: [{ contender: 'bridle', against: ['tar2sqfs alone'], time: 1.15 }],
      mostMemory: MOST_MEMORY,
    };
  },
};

export const imageFlatten: Row = {
  name: 'image-flatten',
  title: 'an image of 4 GiB in four layers, flattened',
  runs: 3,
  async prepare(stage) {
    const program = await bundled(stage);
    const size = (stage.quick ? 64 : 4096) * MIB;
    const layers = await makeLayers(stage, size);
    return {
      contenders: [{ name: 'bridle', words: [process.execPath, program, 'tar', ...layers] }],
      bars: [],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
    };
  },
};

/** The layers merged into one archive, in memory: what a packer alone would be given. */
export async function flattened(stage: Stage, layers: readonly string[]): Promise<string> {
  const flat = join(stage.directory, 'flat.tar');
  const program = await bundled(stage);
  run('sh', ['-c', '"$0" "$@" >"$FLAT"', process.execPath, program, 'tar', ...layers], { FLAT: flat });
  return flat;
}

/** The functions that are measured, as a program: no command of ours does them alone. */
export async function bundled(stage: Stage): Promise<string> {
  const outfile = join(stage.directory, 'image.mjs');
  await build({
    entryPoints: [join(ROOT, 'bench/image.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    logLevel: 'error',
  });
  return outfile;
}

/** Layers of gzip, `size` bytes together, and the diff id of each beside it. */
async function makeLayers(stage: Stage, size: number): Promise<string[]> {
  const layers: string[] = [];
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const name = `layer-${layer}`;
    const folder = await stage.folder(name);
    for (let file = 0; file < FILES; file += 1) {
      await makeFile(folder, `${name}-${file}`, size / LAYERS / FILES, layer * FILES + file);
    }
    const tar = join(stage.disk, `${name}.tar`);
    run('tar', ['--create', '--file', tar, '--directory', folder, '.']);
    await rm(folder, { recursive: true });
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(tar)) hash.update(chunk);
    run('gzip', ['-1', tar]);
    await writeFile(`${tar}.gz.diffid`, `sha256:${hash.digest('hex')}`);
    layers.push(`${tar}.gz`);
  }
  return layers;
}

function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { status, stderr } = spawnSync(program, args, { env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}
