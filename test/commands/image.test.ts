import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle, ended, scratch, start } from './run-command.ts';

afterEach(closeScene);

const LAYERS = [1, 2].map((seed) => Buffer.alloc(5120, seed));

async function host() {
  const started = await registry();
  const made = putImage(started, { repository: 'a/b', tag: '1' }, LAYERS);
  return { ...started, made, name: `${started.authority}/a/b:1` };
}

describe('bridle image', () => {
  test('pull tells the digest that the name stands for, and the file proves it', async () => {
    const { name, made, authority } = await host();
    const cwd = scratch();
    const pulled = await bridle(['image', 'pull', `docker://${name}`, 'a.tar'], { cwd });
    expect(pulled).toMatchObject({ status: 0, stderr: '' });
    expect(pulled.stdout).toMatch(
      new RegExp(`^${name}@${made.digest}\n  linux/amd64, 2 layers, .* → a.tar \\(hybrid\\)\n$`),
    );
    const verified = await bridle(['image', 'verify', 'a.tar', name], { cwd });
    expect(verified).toMatchObject({ status: 0, stdout: expect.stringContaining('every digest is right') });
    const pinned = await bridle(['image', 'pull', `${authority}/a/b@${made.digest}`, 'oci:layout'], { cwd });
    expect(pinned).toMatchObject({ status: 0 });
    expect(existsSync(join(cwd, 'layout/index.json'))).toBe(true);
  });

  test('pull without a file, and into a directory, gives the image the name that apptainer would', async () => {
    const { name, authority, made } = await host();
    const cwd = scratch();
    mkdirSync(join(cwd, 'in'));
    const said = await bridle(['image', 'pull', name], { cwd });
    expect([said.status, said.stdout]).toEqual([0, expect.stringContaining('→ b_1.tar (hybrid)\n')]);
    for (const args of [
      [name, 'in'],
      [`docker://${authority}/a/b@${made.digest}`, 'in/'],
      ['--format', 'oci', name],
    ]) {
      expect(await bridle(['image', 'pull', '-q', ...args], { cwd })).toMatchObject({ status: 0 });
    }
    const short = made.digest.replace(':', '-').slice(0, 'sha256-'.length + 12);
    expect(readdirSync(join(cwd, 'in')).sort()).toEqual(['b_1.tar', `b_${short}.tar`]);
    expect(existsSync(join(cwd, 'b_1/index.json'))).toBe(true);
    expect(await bridle(['cp', '-q', `docker://${name}`, '.'], { cwd })).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'b_1.tar')).equals(readFileSync(join(cwd, 'in/b_1.tar')))).toBe(true);
  });

  test('verify ends with 1 for another image, and for one that was changed', async () => {
    const { name, made, ...started } = await host();
    const cwd = scratch();
    await bridle(['image', 'pull', '-q', name, 'a.tar'], { cwd });
    putImage(started, { repository: 'a/b', tag: '1' }, LAYERS.slice(1));
    const other = await bridle(['image', 'verify', 'a.tar', name], { cwd });
    expect([other.status, other.stdout]).toEqual([1, '']);
    expect(other.stderr).toContain(`\`a.tar\`: it is \`${made.digest}\`, `);
    const bytes = readFileSync(join(cwd, 'a.tar'));
    const layer = started.blobs.get(made.layers[0]!)!;
    bytes[bytes.indexOf(layer) + 15]! ^= 1;
    writeFileSync(join(cwd, 'a.tar'), bytes);
    const changed = await bridle(['image', 'verify', 'a.tar'], { cwd });
    expect(changed.status).toBe(1);
    expect(changed.stderr).toContain('expected `sha256:');
  });

  test('inspect tells what an image is, as JSON too', async () => {
    const { name, made } = await host();
    const cwd = scratch();
    const { stdout } = await bridle(['image', 'inspect', '--json', name], { cwd });
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({
      name,
      digest: made.digest,
      platform: { os: 'linux', architecture: 'amd64' },
    });
    expect(told.layers.map(({ digest }: { digest: string }) => digest)).toEqual(made.layers);
    const lines = await bridle(['image', 'inspect', name], { cwd });
    expect(lines.stdout).toContain(`\nimage id    ${made.config}\n`);
  });

  test.each([
    [['image'], 'expected one of pull, convert, inspect, push, verify, build, prune, got nothing'],
    [['image', 'fetch'], 'expected one of pull, convert, inspect, push, verify, build, prune, got `fetch`'],
    [['image', 'pull'], 'expected the name of an image, and perhaps a file'],
    [['image', 'pull', 'a', 'b', 'c'], 'expected the name of an image, and perhaps a file'],
    [['image', 'inspect', 'UPPER/Case'], 'expected a repository in lower case'],
    [['image', 'inspect', '--format', 'oci', 'a'], '--format: `bridle image inspect` has no use for it'],
    [['image', 'pull', '--format', 'oci', 'a', 'docker-archive:x'], '--format: `oci`, and `docker-archive:`'],
    [['image', 'pull', '--platform', 'amd64', 'a', 'x'], 'expected a platform such as `linux/amd64`'],
    [['image', 'inspect', '--registry-mirror', 'x', 'a'], 'mirror `x`: expected `REGISTRY=HOST`'],
  ])('%j is refused as wrong usage', async (args, problem) => {
    const { status, stderr, stdout } = await bridle(args, { cwd: scratch() });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(problem);
  });
});

describe('an image as a source', () => {
  test('is the same archive as `image pull` keeps, and tells what was compared', async () => {
    const { name, made } = await host();
    const cwd = scratch();
    await bridle(['image', 'pull', '-q', name, 'a.tar'], { cwd });
    const copied = await bridle(['cp', '-q', '--report', 'r.json', `docker://${name}`, 'b.tar'], { cwd });
    expect(copied).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'b.tar')).equals(readFileSync(join(cwd, 'a.tar')))).toBe(true);
    expect(readFileSync(join(cwd, 'r.json'), 'utf8')).toContain(`image ${made.digest} for linux/amd64`);
    const stat = await bridle(['stat', '--json', `oci://${name}`], { cwd });
    expect(JSON.parse(stat.stdout)).toMatchObject({
      type: 'file',
      size: readFileSync(join(cwd, 'a.tar')).length,
    });
  });

  test('S8 P1 whose layer is wrong leaves nothing', async () => {
    const { name, made, blobs } = await host();
    blobs.set(made.layers[1]!, Buffer.alloc(blobs.get(made.layers[1]!)!.length));
    const cwd = scratch();
    const copied = await bridle(['cp', '-q', '-m', '1', `docker://${name}`, 'b.tar'], { cwd });
    expect(copied.status).toBe(1);
    expect(copied.stderr).toContain('expected `sha256:');
    expect(existsSync(join(cwd, 'b.tar'))).toBe(false);
  });

  test('is an archive for `type` docker, and refused as what it cannot be', async () => {
    const { name } = await host();
    const cwd = scratch();
    const run = (type: string) => {
      const input = JSON.stringify([
        {
          type: 'transfer',
          src_urls: [{ site_label: 'local', url: `docker://${name}` }],
          dest_urls: [{ site_label: 'local', url: `file://${cwd}/${type}`, type }],
        },
      ]);
      return bridle(['transfer', '-q', '-m', '1'], { cwd, input });
    };
    expect(await run('docker')).toMatchObject({ status: 0 });
    const refused = await run('tape');
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('cannot be had as `tape`');
  });
});

describe('a pull that is killed', () => {
  test('P4 L10 goes on behind what it had of a layer', async () => {
    let isHeld = true;
    const half = 1_500_000;
    const started = await registry(({ url, range }, response) => {
      const blob = started.blobs.get(made.layers[0]!);
      if (!isHeld || !blob || !url.endsWith(made.layers[0]!) || range !== undefined) return false;
      response.writeHead(200, { 'content-length': blob.length }).write(blob.subarray(0, half));
      return true;
    });
    const made = putImage(started, { repository: 'a/b', tag: '1' }, [randomBytes(2 * 1024 * 1024)]);
    const cwd = scratch();
    const args = ['image', 'pull', '--json', `${started.authority}/a/b:1`, 'a.tar'];
    const child = start(args, { cwd });
    const end = ended(child);
    const folder = join(cwd, '.local/state/bridle/images/sha256');
    const stored = () => {
      const [name = ''] = existsSync(folder) ? readdirSync(folder) : [];
      return name === '' ? 0 : statSync(join(folder, name)).size;
    };
    await expect.poll(stored, { timeout: 20_000 }).toBe(half);
    child.kill('SIGKILL');
    expect((await end).status).toBe('SIGKILL');
    expect(existsSync(join(cwd, 'a.tar'))).toBe(false);
    isHeld = false;
    const again = await bridle(args, { cwd });
    expect(again.status).toBe(0);
    expect(again.stderr).toContain('goes on behind 1.4 MiB of an earlier pull');
    expect(started.asked.at(-1)?.range).toBe(`bytes=${half}-`);
    expect(await bridle(['image', 'verify', '-q', 'a.tar'], { cwd })).toMatchObject({ status: 0 });
  });
});
