import { chmodSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { readSif } from '../../src/image/sif/read.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { ageSeals } from '../image/age-seals.ts';
import { tarOf } from '../image/busybox-image.ts';
import { closeScene, registry } from '../image/scene.ts';

beforeAll(() => void findProgram('tar2sqfs'));
afterEach(closeScene);

const LAYERS = ['one', 'two'].map((name) => tarOf([{ name, content: Buffer.from(name.repeat(5000)) }]));
const UNTOUCHED = new Date(Date.UTC(2000, 0, 1));

async function scene() {
  const started = await registry();
  putImage(started, { repository: 'a/b', tag: '1' }, LAYERS);
  const cwd = scratch();
  const url = `docker://${started.authority}/a/b:1`;
  const at = (name: string) => join(cwd, name);
  const pull = (file: string) =>
    bridle(['image', 'pull', '-q', '--cache', 'cache', '--format', 'sif', url, file], { cwd });
  /** As Pegasus asks for it. */
  const stage = (file: string) =>
    bridle([], {
      cwd,
      program: 'pegasus-transfer',
      env: { BRIDLE_CACHE: at('cache') },
      input: JSON.stringify([
        {
          type: 'transfer',
          lfn: file,
          src_urls: [{ site_label: 'local', url }],
          dest_urls: [{ site_label: 'local', url: `file://${cwd}/${file}`, type: 'singularity' }],
        },
      ]),
    });
  return {
    cwd,
    at,
    pull,
    stage,
    blobs: () => started.asked.filter((one) => one.url.includes('/blobs/')).length,
  };
}

function keptSif(at: (name: string) => string): string {
  const name = readdirSync(at('cache/content')).find((one) => /^made-[0-9a-f]{64}$/.test(one));
  return at(`cache/content/${name}`);
}

/** Changes a file of the cache so that its time and size tell nothing, more than a week after it was compared. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  utimesSync(path, UNTOUCHED, UNTOUCHED);
  ageSeals(dirname(dirname(path)));
}

describe('a SIF file of the cache', () => {
  test('P9 is made once for `image pull` and for lists, can be run, and nothing else is left', async () => {
    const { at, pull, stage, blobs, cwd } = await scene();
    expect(await pull('a.sif')).toMatchObject({ status: 0, stderr: '' });
    const asked = blobs();
    expect(await pull('b.sif')).toMatchObject({ status: 0, stderr: '' });
    expect((await stage('c.sif')).status).toBe(0);
    expect(blobs()).toBe(asked);
    expect(statSync(at('b.sif')).ino).toBe(statSync(keptSif(at)).ino);
    expect(statSync(at('a.sif')).mode & 0o111).toBe(0o111);
    const whole = readFileSync(at('a.sif'));
    for (const name of ['b.sif', 'c.sif']) expect(readFileSync(at(name)).equals(whole)).toBe(true);
    expect((await readSif(at('c.sif'))).architecture).toBe('amd64');
    expect(
      readdirSync(cwd)
        .filter((name) => !name.startsWith('.'))
        .sort(),
    ).toEqual(['a.sif', 'b.sif', 'c.sif', 'cache']);
    expect(readdirSync(cwd).filter((name) => /bridle-/.test(name))).toEqual([]);
  });

  test('P1 F26 that rots is made anew, for either', async () => {
    const { at, pull, stage } = await scene();
    await pull('a.sif');
    const whole = readFileSync(at('a.sif'));
    damage(keptSif(at));
    expect(await pull('b.sif')).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(at('b.sif')).equals(whole)).toBe(true);
    damage(keptSif(at));
    expect((await stage('c.sif')).status).toBe(0);
    expect(readFileSync(at('c.sif')).equals(whole)).toBe(true);
  });
});
