import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { openPodman, type Podman } from '../../fixtures/servers/podman.ts';
import type { RunningRegistry } from '../../fixtures/servers/registry.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { bridle } from '../commands/run-command.ts';
import { busyboxImage, writeImage } from '../image/busybox-image.ts';
import { digestAt } from '../places/digest-at.ts';
import type { StoragePlace } from '../places/place.ts';
import { PLACES } from '../places/places.ts';

const NAMES = ['s3', 'sftp', 'dav'] as const;
const places = new Map<string, StoragePlace>();
let registry: RunningRegistry;
let box: Podman;
let directory: string;
/** The same image, kept on this machine. */
const here = { 'tool.tar': '', 'tool.sif': '' };

const at = (name: string) => join(directory, name);
const sha256Of = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

beforeAll(async () => {
  for (const name of ['podman', 'busybox', 'tar2sqfs']) findProgram(name);
  directory = mkdtempSync(join(tmpdir(), 'bridle-image-places-'));
  mkdirSync(at('tmp'));
  const starting = NAMES.map(async (name) => places.set(name, await PLACES[name]()));
  const failed = (await Promise.allSettled(starting)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  registry = await startServer('registry');
  box = openPodman();
  await writeImage(busyboxImage(findProgram('busybox')), 'hybrid', at('made.tar'));
  await call({}, 'image', 'push', at('made.tar'), name());
  for (const file of ['tool.tar', 'tool.sif'] as const) {
    await call({}, 'image', 'pull', name(), at(file));
    here[file] = sha256Of(at(file));
  }
  writeFileSync(at('SUMS'), `${here['tool.tar']}  tool.tar\n${here['tool.sif']}  tool.sif\n`);
}, 150_000);

afterAll(async () => {
  box?.close();
  await registry?.stop();
  await Promise.all([...places.values()].map((one) => one.stop()));
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

const name = () => `docker://${registry.open}/lab/tool:1`;

function place(kind: string): StoragePlace {
  const found = places.get(kind);
  if (!found) throw new Error(`${kind} did not start`);
  return found;
}

/** What a command that must end with 0 says on standard output; nothing of it stays below `TMPDIR`. */
async function call(env: Readonly<Record<string, string>>, ...args: string[]): Promise<string> {
  const ended = await bridle(args, { cwd: directory, env: { ...env, TMPDIR: at('tmp') } });
  expect(ended).toMatchObject({ status: 0, stderr: expect.not.stringContaining('warning') });
  expect(readdirSync(at('tmp'))).toEqual([]);
  return ended.stdout;
}

describe.each(NAMES)('images on %s', (kind) => {
  const image = (...args: string[]) => call(place(kind).env, 'image', ...args);
  const url = (file: string) => place(kind).url(file);

  test.each(['tool.tar', 'tool.sif'] as const)(
    '%s is pulled to there as to here, seen once it is whole, and verified there',
    async (file) => {
      await image('pull', name(), url(file));
      expect(await digestAt(place(kind), file)).toMatchObject({ sha256: here[file] });
      expect(await place(kind).uploads()).toEqual([]);
      const told = await image('verify', '--checksums', 'SUMS', url(file), name());
      expect(told).toMatch(/the same (?:image )?as docker:/);
      expect(await image('inspect', url(file))).toMatch(/amd64|x86_64/);
    },
  );

  test('an archive there becomes a SIF file there, and a directory here', async () => {
    await image('convert', url('tool.tar'), `sif:${url('deep/er/made')}`);
    expect(await digestAt(place(kind), 'deep/er/made')).toMatchObject({ sha256: here['tool.sif'] });
    await image('convert', `oci-archive:${url('tool.tar')}`, `sandbox:${at(`box-${kind}`)}`);
    expect(readFileSync(at(`box-${kind}/greeting`), 'utf8')).toBe('from the second layer\n');
  });

  test('S8 another digest than is listed is refused, and nothing is sent', async () => {
    await place(kind).put('wrong/tool.tar', [readFileSync(at('tool.sif'))]);
    const args = ['image', 'convert', '--checksums', 'SUMS', url('wrong/tool.tar'), url('never.tar')];
    const ended = await bridle(args, { cwd: directory, env: { ...place(kind).env, TMPDIR: at('tmp') } });
    expect(ended).toMatchObject({ status: 1, stderr: expect.stringContaining(here['tool.tar']) });
    expect(await digestAt(place(kind), 'never.tar')).toBeUndefined();
    expect(readdirSync(at('tmp'))).toEqual([]);
  });

  test('`run --image` fetches one from there, and podman runs it', async () => {
    const env = { ...place(kind).env, ...box.environment };
    const job = ['--image', url('tool.tar'), '--', '/bin/cat', '/greeting'];
    const said = await call(env, 'run', '-q', '--engine', 'podman', '--checksums', 'SUMS', ...job);
    expect(said).toBe('from the second layer\n');
    execFileSync(box.program, ['rmi', '--all', '--force'], { env: box.environment, stdio: 'ignore' });
  });
});
