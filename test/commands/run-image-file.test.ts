import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { makeSif } from '../image/made-sif.ts';
import { bridle, scratch } from './run-command.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that has these files alone. */
async function serve(files: Readonly<Record<string, Buffer>>): Promise<string> {
  const server = createServer((request, response) => {
    const bytes = files[(request.url ?? '').slice(1)];
    if (!bytes) response.writeHead(404).end();
    else {
      response.writeHead(200, { 'content-length': bytes.length, connection: 'close' });
      response.end(request.method === 'HEAD' ? undefined : bytes);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A place with an engine that keeps what it was called with, and the image that it was given. */
function place(engine: string) {
  const cwd = scratch();
  const [bin, tmp] = [join(cwd, 'bin'), join(cwd, 'tmp')];
  for (const directory of [bin, tmp]) mkdirSync(directory);
  const script = `#!/bin/sh
echo "$@" >> ${cwd}/called
for word in "$@"; do case "$word" in */image.sif|*/image.tar) /bin/cp "$word" ${cwd}/given;; esac; done
case "$1" in load) echo "Loaded image: docker.io/a/b:1";; esac
for word in "$@"; do case "$word" in */.bridle-started) : > "\${word%/*}/.bridle-started" 2>/dev/null;; esac; done
exit 0
`;
  writeFileSync(join(bin, engine), script, { mode: 0o755 });
  return { cwd, tmp, env: { PATH: bin, TMPDIR: tmp } };
}

const SIF = makeSif(Buffer.from('partition'));

async function archive(): Promise<Buffer> {
  const path = join(scratch(), 'a.tar');
  await writeImage(makeImage({ layers: [tarOf([])] }), 'hybrid', path);
  return readFileSync(path);
}

describe('bridle run --image of a file at a URL', () => {
  test('fetches it before, gives the engine the file, and leaves nothing', async () => {
    const url = await serve({ 'a.tar': await archive(), 'a.sif': SIF });
    const docker = place('docker');
    const run = await bridle(['run', '--image', `${url}/a.tar`, '--', 'true'], docker);
    expect(run).toMatchObject({ status: 0 });
    expect(run.stderr).toContain(`fetched ${url}/a.tar`);
    expect(readFileSync(join(docker.cwd, 'given')).equals(await archive())).toBe(true);
    expect(readdirSync(docker.tmp)).toEqual([]);
    const apptainer = place('apptainer');
    await bridle(['run', '--image', `${url}/a.sif`, '--', 'true'], apptainer);
    expect(readFileSync(join(apptainer.cwd, 'given')).equals(SIF)).toBe(true);
    expect(readdirSync(apptainer.tmp)).toEqual([]);
  });

  test('--dry-run shows the copy, without a login', async () => {
    const { cwd, env } = place('apptainer');
    const args = ['run', '--dry-run', '--image', 'https://me:secret@host.example/x.sif', '--', 'true'];
    const run = await bridle(args, { cwd, env });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(run.stdout).toContain('bridle cp https://host.example/x.sif IMAGE-AS-PULLED\n');
    expect(run.stdout).not.toContain('secret');
  });

  test.each([
    ['absent.tar', 'not found'],
    ['sif-inside.tar', 'none of apptainer, singularity is in PATH'],
  ])('that is of no use (%s) is 71, and the job is not started', async (name, reason) => {
    const url = await serve({ 'sif-inside.tar': SIF });
    const { cwd, env, tmp } = place('docker');
    const run = await bridle(['run', '--image', `${url}/${name}`, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 71, stderr: expect.stringContaining(reason) });
    expect([existsSync(join(cwd, 'called')), readdirSync(tmp)]).toEqual([false, []]);
  });

  test('chooses the engine by what is in it, whatever it is called', async () => {
    const url = await serve({ 'a.sif': await archive(), 'a.tar': SIF });
    const called = (cwd: string) => existsSync(join(cwd, 'called'));
    for (const [name, engine, other] of [
      ['a.sif', 'docker', 'apptainer'],
      ['a.tar', 'apptainer', 'docker'],
    ] as const) {
      const [good, bad] = [place(engine), place(other)];
      const PATH = `${good.env.PATH}:${bad.env.PATH}`;
      const args = ['run', '--image', `${url}/${name}`, '--', 'true'];
      expect(await bridle(args, { cwd: good.cwd, env: { ...good.env, PATH } })).toMatchObject({ status: 0 });
      expect([called(good.cwd), called(bad.cwd)]).toEqual([true, false]);
      const alone = place(engine);
      expect(await bridle(args, { cwd: alone.cwd, env: alone.env })).toMatchObject({ status: 0 });
    }
    const { cwd, env } = place('docker');
    const args = ['run', '--engine', 'docker', '--image', `${url}/a.tar`, '--', 'true'];
    const refused = await bridle(args, { cwd, env });
    expect([refused.status, refused.stderr, called(cwd)]).toEqual([
      71,
      expect.stringContaining('--engine: expected one that runs a SIF'),
      false,
    ]);
  });

  test('S8 of this machine, too, is compared with what is listed of it, before the engine sees it', async () => {
    const { cwd, env } = place('apptainer');
    writeFileSync(join(cwd, 'a.sif'), SIF);
    const hex = createHash('sha256').update(SIF).digest('hex');
    const run = (...words: string[]) =>
      bridle(['run', '--checksums', 'SUMS', '--image', ...words, '--', 'true'], { cwd, env });
    writeFileSync(join(cwd, 'SUMS'), `${hex}  a.sif\n${'0'.repeat(64)}  b.sif\n`);
    for (const name of ['a.sif', `file://${cwd}/a.sif`]) expect(await run(name)).toMatchObject({ status: 0 });
    execFileSync('rm', [join(cwd, 'called')]);
    writeFileSync(join(cwd, 'SUMS'), `${hex.replace(/./, (digit) => (digit === '0' ? '1' : '0'))}  a.sif\n`);
    const refused = await run('a.sif');
    expect([refused.status, existsSync(join(cwd, 'called'))]).toEqual([71, false]);
    expect(refused.stderr).toContain(`the bytes have ${hex}`);
    writeFileSync(join(cwd, 'SUMS'), `${'0'.repeat(64)}  b.sif\n`);
    expect(await run('a.sif')).toMatchObject({ status: 0 });
  });

  test('S8 with another digest than is listed is 71', async () => {
    const url = await serve({ 'a.sif': SIF });
    const { cwd, env } = place('apptainer');
    writeFileSync(join(cwd, 'SUMS'), `${'0'.repeat(64)}  a.sif\n`);
    const args = ['run', '--checksums', 'SUMS', '--image', `${url}/a.sif`, '--', 'true'];
    const run = await bridle(args, { cwd, env });
    expect(run).toMatchObject({ status: 71, stderr: expect.stringContaining('sha256') });
    expect(existsSync(join(cwd, 'called'))).toBe(false);
  });

  test('schemes of the engines stay theirs', async () => {
    const { cwd, env } = place('apptainer');
    const run = await bridle(['run', '--dry-run', '--image', 'instance://mine', '--', 'true'], { cwd, env });
    expect(run.stdout).toMatch(/^\S*apptainer exec .* instance:\/\/mine /);
  });
});

describe('a directory on a shared file system', () => {
  const TREE = 'debian:stable';
  function withTree() {
    const cwd = scratch();
    mkdirSync(join(cwd, 'shared', '.flat', 'tree', 'bin'), { recursive: true });
    writeFileSync(join(cwd, 'shared', '.flat', 'tree', 'bin', 'x'), 'x');
    execFileSync('ln', ['-s', '.flat/tree', join(cwd, 'shared', TREE)]);
    return { cwd, tree: join(cwd, 'shared', TREE) };
  }
  const linkOf = (cwd: string, name: string) =>
    execFileSync('readlink', [join(cwd, name)], { encoding: 'utf8' }).trim();

  test('is linked to and not copied, by `cp --symlink` and by a destination that is a link', async () => {
    const { cwd, tree } = withTree();
    expect(await bridle(['cp', '--symlink', tree, 'one'], { cwd })).toMatchObject({ status: 0 });
    expect(await bridle(['cp', tree, `symlink://${cwd}/two`], { cwd })).toMatchObject({ status: 0 });
    mkdirSync(join(cwd, 'into'));
    expect(await bridle(['cp', '-s', tree, 'into'], { cwd })).toMatchObject({ status: 0 });
    for (const name of ['one', 'two', `into/${TREE}`]) expect(linkOf(cwd, name)).toBe(tree);
    const copied = await bridle(['cp', tree, 'three'], { cwd });
    expect([copied.status, copied.stderr]).toEqual([1, expect.stringContaining('is a directory (use -r)')]);
  });

  test('is linked to by a list, whether the destination says what it is or not', async () => {
    const { cwd, tree } = withTree();
    const entry = (id: number, url: string, type?: string) => ({
      id,
      type: 'transfer',
      src_urls: [{ site_label: 'local', url: `file://${tree}` }],
      dest_urls: [{ site_label: 'local', url, ...(type === undefined ? {} : { type }) }],
    });
    const linked = [
      entry(1, `symlink://${cwd}/one`, 'singularity'),
      entry(2, `symlink://${cwd}/two`, 'docker'),
      entry(3, `symlink://${cwd}/three`),
    ];
    writeFileSync(join(cwd, 'list.json'), JSON.stringify(linked));
    expect(await bridle(['transfer', '-f', 'list.json'], { cwd })).toMatchObject({ status: 0 });
    writeFileSync(join(cwd, 'list.json'), JSON.stringify([entry(1, `file://${cwd}/four`, 'singularity')]));
    expect(await bridle(['transfer', '--symlink', '-f', 'list.json'], { cwd })).toMatchObject({ status: 0 });
    for (const name of ['one', 'two', 'three', 'four']) expect(linkOf(cwd, name)).toBe(tree);
  });

  test('that is not there is not linked to', async () => {
    const { cwd } = withTree();
    const { status, stderr } = await bridle(['cp', '-s', './shared/absent:1', 'one'], { cwd });
    expect([status, stderr]).toEqual([1, expect.stringContaining('no such file or directory')]);
    expect(readdirSync(cwd)).toEqual(['shared']);
  });

  test('is what a job is run in: apptainer executes it, podman takes it as root file system', async () => {
    const { cwd, tree } = withTree();
    const args = ['run', '--dry-run', '--image', tree, '--', 'true'];
    const apptainer = await bridle(args, { cwd, env: place('apptainer').env });
    expect(apptainer.stdout).toContain(` ${tree} /bin/sh -c `);
    const podman = await bridle(args, { cwd, env: place('podman').env });
    expect(podman.stdout).toContain(`--entrypoint true --rootfs ${tree}\n`);
  });
});
