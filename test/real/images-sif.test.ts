import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { openPodman } from '../../fixtures/servers/podman.ts';
import type { RunningRegistry } from '../../fixtures/servers/registry.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { readSif } from '../../src/image/sif/read.ts';
import { bridle, ended, scratch, start } from '../commands/run-command.ts';
import { busyboxImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { noise } from '../image/noise.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const MIB = 1024 * 1024;

let registry: RunningRegistry;
let directory: string;
const at = (name: string) => join(directory, name);

beforeAll(async () => {
  for (const name of ['skopeo', 'podman', 'busybox', 'tar2sqfs', 'unsquashfs']) findProgram(name);
  directory = await mkdtemp(join(tmpdir(), 'bridle-images-sif-'));
  registry = await startServer('registry');
  const layers = [tarOf([{ name: 'noise', content: noise(24 * MIB) }])];
  await writeImage(
    busyboxImage(findProgram('busybox'), { layers, isPlain: true }),
    'hybrid',
    at('image.tar'),
  );
  await image('convert', at('image.tar'), `sif:${at('tool.sif')}`);
}, 60_000);
afterAll(async () => {
  await registry?.stop();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** `bridle image ARGS`, which must end with 0; what it says on standard output. */
async function image(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await bridle(['image', ...args], { cwd: scratch() });
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

/** The manifest as another program reads it. */
function raw(name: string): {
  readonly config: object;
  readonly layers: readonly { readonly digest: string }[];
} {
  const args = ['--insecure-policy', 'inspect', '--tls-verify=false', '--raw', `docker://${name}`];
  return JSON.parse(execFileSync(findProgram('skopeo'), args, { encoding: 'utf8' }));
}

describe('a SIF file in a registry', () => {
  test('is pushed as an artifact, found by tag and by digest, and comes back to the byte', async () => {
    const name = `${registry.open}/a/tool:1`;
    const pushed = JSON.parse(await image('push', '--json', at('tool.sif'), `oras://${name}`));
    expect(pushed).toMatchObject({ sent: 2, skipped: 0 });
    expect(raw(name)).toMatchObject({
      config: { mediaType: 'application/vnd.sylabs.sif.config.v1+json', size: 2 },
      layers: [
        {
          mediaType: 'application/vnd.sylabs.sif.layer.v1.sif',
          digest: pushed.content,
          size: statSync(at('tool.sif')).size,
          annotations: { 'org.opencontainers.image.title': 'tool.sif' },
        },
      ],
    });
    expect(JSON.parse(await image('push', '--json', at('tool.sif'), `oras://${name}`))).toMatchObject({
      sent: 0,
      skipped: 2,
      digest: pushed.digest,
    });
    await image('pull', `oras://${name}@${pushed.digest}`, at('back.sif'));
    expect(readFileSync(at('back.sif')).equals(readFileSync(at('tool.sif')))).toBe(true);
    const partition = (await readSif(at('back.sif'))).objects.find(
      ({ partition: kind }) => kind !== undefined,
    );
    const args = ['-o', String(partition?.offset), '-l', at('back.sif')];
    expect(execFileSync(findProgram('unsquashfs'), args, { encoding: 'utf8' })).toContain(
      'squashfs-root/noise',
    );
    expect(await image('verify', at('tool.sif'), `oras://${name}`)).toContain('the same as');
  });

  test('S1 S5 that wants a login gets that of the login file, which podman wrote', async () => {
    const cwd = scratch();
    const file = join(cwd, 'auth.json');
    const box = openPodman();
    try {
      for (const host of [registry.basic, registry.token]) {
        box.call('login', '--tls-verify=false', '--authfile', file, '-u', 'user', '-p', 'secret', host);
      }
    } finally {
      box.close();
    }
    const env = { REGISTRY_AUTH_FILE: file };
    for (const name of [`oras://${registry.basic}/tool:1`, `oras://${registry.token}/private/tool:1`]) {
      const push = ['image', 'push', at('tool.sif'), name];
      expect(await bridle(push, { cwd, env })).toMatchObject({ status: 0, stderr: '' });
      expect(await bridle(['cp', '-q', name, 'a.sif'], { cwd, env })).toMatchObject({ status: 0 });
      const refused = await bridle(['image', 'pull', name, 'b.sif'], { cwd });
      expect(refused.status).toBe(1);
      expect(refused.stderr).toMatch(/wants a login[\s\S]*hint: `podman login /);
    }
    expect(existsSync(join(cwd, 'b.sif'))).toBe(false);
  });

  test('by https is asked with the authority that is trusted, and by a mirror first', async () => {
    const name = `oras://${registry.secure}/tool:1`;
    await image('push', '--ca', CA, at('tool.sif'), name);
    await image('verify', '--ca', CA, name);
    await image('push', at('tool.sif'), `oras://${registry.open}/mirrored/tool:1`);
    const mirror = ['--registry-mirror', `registry.invalid=${registry.open}/mirrored`];
    await image('verify', ...mirror, 'oras://registry.invalid/tool:1');
  });

  test('F2 P4 P5 that is cut and then killed goes on where it was, and the rest alone is sent', async () => {
    await image('push', at('tool.sif'), `oras://${registry.open}/killed:1`);
    const { size } = statSync(at('tool.sif'));
    const proxy = await startFaultProxy({ port: Number(registry.open.split(':')[1]) });
    try {
      proxy.setRules([
        // The first one asks whether https is spoken.
        { skip: 1, times: 1, break: { direction: 'down', at: 6 * MIB, how: 'reset' } },
        { times: 1, break: { direction: 'down', at: 14 * MIB, how: 'stall' } },
      ]);
      const cwd = scratch();
      const args = ['cp', '-q', `oras://127.0.0.1:${proxy.port}/killed:1`, 'a.sif'];
      const child = start(args, { cwd });
      const end = ended(child);
      const folder = join(cwd, `.bridle-${process.getuid?.()}`);
      const partial = () => {
        const [name] = existsSync(folder) ? readdirSync(folder).filter((one) => one.endsWith('.part')) : [];
        return name === undefined ? 0 : statSync(join(folder, name)).size;
      };
      await expect.poll(partial, { timeout: 20_000, interval: 20 }).toBeGreaterThan(18 * MIB);
      child.kill('SIGKILL');
      expect((await end).status).toBe('SIGKILL');
      proxy.setRules([]);
      expect(await bridle(args, { cwd })).toMatchObject({ status: 0, stderr: '' });
      expect(readFileSync(join(cwd, 'a.sif')).equals(readFileSync(at('tool.sif')))).toBe(true);
      // What lay beyond the last digest of the journal, and what waited in buffers.
      expect(proxy.counts().bytesDown).toBeLessThan(size + 8 * MIB);
    } finally {
      await proxy.close();
    }
  });
});
