import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { openPodman, type Podman } from '../../fixtures/servers/podman.ts';
import type { RunningRegistry } from '../../fixtures/servers/registry.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { readSif } from '../../src/image/sif/read.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { busyboxImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { noise } from '../image/noise.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const GREETING = 'from the second layer\n';

let registry: RunningRegistry;
let box: Podman;
let directory: string;
let made: ReturnType<typeof busyboxImage>;
const at = (name: string) => join(directory, name);
beforeAll(async () => {
  for (const name of ['skopeo', 'podman', 'busybox', 'tar2sqfs', 'unsquashfs']) findProgram(name);
  directory = await mkdtemp(join(tmpdir(), 'bridle-images-'));
  registry = await startServer('registry');
  made = busyboxImage(findProgram('busybox'));
  for (const format of ['hybrid', 'docker-archive', 'oci-archive'] as const) {
    await writeImage(made, format, at(`${format}.tar`));
  }
  box = openPodman();
}, 60_000);
afterAll(async () => {
  box?.close();
  await registry?.stop();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

const podman = (args: readonly string[]): string => box.call(...args);

function skopeo(...args: string[]): string {
  const insecure = ['--tls-verify=false'];
  const [verb = '', ...rest] = args;
  const more = args.some((arg) => arg.startsWith('docker://'))
    ? verb === 'copy'
      ? ['--src-tls-verify=false', '--dest-tls-verify=false']
      : insecure
    : [];
  return execFileSync(findProgram('skopeo'), ['--insecure-policy', verb, ...more, ...rest], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** `bridle image ARGS`, which must end with 0; what it says on standard output. */
async function image(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await bridle(['image', ...args], { cwd: scratch() });
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

describe('an archive that bridle wrote', () => {
  test.each(['hybrid', 'docker-archive', 'oci-archive'])(
    'as %s is loaded by podman, under its name, and runs',
    (format) => {
      expect(podman(['load', '-i', at(`${format}.tar`)])).toContain('Loaded image: docker.io/test/made:1');
      expect(podman(['run', '--rm', '--network=none', 'docker.io/test/made:1'])).toBe(GREETING);
      podman(['rmi', '--force', 'docker.io/test/made:1']);
    },
  );

  test('is read by skopeo as what it is, with its digest where it keeps one', () => {
    const digest = (transport: string) => JSON.parse(skopeo('inspect', transport)).Digest;
    expect(digest(`oci-archive:${at('hybrid.tar')}`)).toBe(made.manifest.descriptor.digest);
    expect(digest(`oci-archive:${at('oci-archive.tar')}`)).toBe(made.manifest.descriptor.digest);
    // Every layer is compared with the configuration by this.
    for (const format of ['hybrid', 'docker-archive']) {
      skopeo('copy', `docker-archive:${at(`${format}.tar`)}`, `dir:${at(`by-skopeo-${format}`)}`);
    }
  });
});

describe('a registry', () => {
  test('takes an image, gives it back, and has each blob sent once', async () => {
    const name = `${registry.open}/a/busy:1`;
    const pushed = JSON.parse(await image('push', '--json', at('hybrid.tar'), name));
    expect(pushed).toMatchObject({ digest: made.manifest.descriptor.digest, sent: 3, skipped: 0 });
    expect(JSON.parse(await image('push', '--json', at('hybrid.tar'), name))).toMatchObject({
      sent: 0,
      skipped: 3,
    });
    expect(JSON.parse(skopeo('inspect', `docker://${name}`)).Digest).toBe(pushed.digest);
    const pulled = JSON.parse(await image('pull', '--json', `${name}@${pushed.digest}`, at('pulled.tar')));
    expect(pulled).toMatchObject({ digest: pushed.digest, platform: 'linux/amd64', layers: 2 });
    expect(await image('verify', at('pulled.tar'), `docker://${name}`)).toContain(
      'every digest is right, the same as',
    );
  });

  test('has the blobs of one repository taken over by another', async () => {
    await image('push', at('hybrid.tar'), `${registry.open}/from/here:1`);
    await image('pull', `${registry.open}/from/here:1`, at('here.tar'));
    const pushed = await image('push', '--json', at('here.tar'), `${registry.open}/to/there:1`);
    expect(JSON.parse(pushed)).toMatchObject({ sent: 0, mounted: 3 });
    await image('verify', `${registry.open}/to/there:1`);
  });

  test('by https is asked with the authority that is trusted, and not without', async () => {
    const name = `${registry.secure}/busy:1`;
    await image('push', '--ca', CA, at('hybrid.tar'), name);
    await image('verify', '--ca', CA, name);
    const refused = await bridle(['image', 'inspect', name], { cwd: scratch() });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('the certificate of');
  });

  test('S1 S5 that wants a login gets that of the login file, which podman wrote', async () => {
    const cwd = scratch();
    const file = join(cwd, 'auth.json');
    for (const host of [registry.basic, registry.token]) {
      podman(['login', '--tls-verify=false', '--authfile', file, '-u', 'user', '-p', 'secret', host]);
    }
    const env = { REGISTRY_AUTH_FILE: file };
    for (const name of [
      `${registry.basic}/busy:1`,
      `${registry.token}/private/busy:1`,
      `${registry.token}/public/busy:1`,
    ]) {
      expect(await bridle(['image', 'push', at('hybrid.tar'), name], { cwd, env })).toMatchObject({
        status: 0,
      });
      expect(await bridle(['image', 'verify', name], { cwd, env })).toMatchObject({ status: 0 });
    }
    await image('verify', `${registry.token}/public/busy:1`);
    for (const name of [`${registry.basic}/busy:1`, `${registry.token}/private/busy:1`]) {
      const refused = await bridle(['image', 'inspect', name], { cwd });
      expect(refused.status).toBe(1);
      expect(refused.stderr).toMatch(/wants a login[\s\S]*hint: `podman login /);
    }
    const wrong = await bridle(['image', 'inspect', `docker://user:s3cret@${registry.token}/public/busy:1`], {
      cwd,
    });
    expect(wrong.stderr).toContain('does not take the login');
    expect(wrong.stderr).not.toContain('s3cret');
  });

  test('that skopeo pushed an index to has it taken apart by platform', async () => {
    const other = busyboxImage(findProgram('busybox'), { config: { Cmd: ['/bin/echo', 'other'] } });
    await writeImage(other, 'hybrid', at('other.tar'));
    const list = `${registry.open}/list:1`;
    const digests: string[] = [];
    for (const [tag, file] of [
      ['x', 'hybrid.tar'],
      ['y', 'other.tar'],
    ] as const) {
      digests.push(
        JSON.parse(await image('push', '--json', at(file), `${registry.open}/list:${tag}`)).digest,
      );
    }
    const type = 'application/vnd.oci.image.index.v1+json';
    const size = (digest: string) => (digest === digests[0] ? made : other).manifest.descriptor.size;
    const manifests = digests.map((digest, index) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size: size(digest),
      platform: { os: 'linux', architecture: index === 0 ? 'amd64' : 's390x' },
    }));
    const put = await fetch(`http://${registry.open}/v2/list/manifests/1`, {
      method: 'PUT',
      headers: { 'content-type': type },
      body: JSON.stringify({ schemaVersion: 2, mediaType: type, manifests }),
    });
    expect(put.status).toBe(201);
    const inspected = JSON.parse(await image('inspect', '--json', '--platform', 'linux/amd64', list));
    expect(inspected.manifest.digest).toBe(digests[0]);
    expect(inspected.platforms.map(({ architecture }: { architecture: string }) => architecture)).toEqual([
      'amd64',
      's390x',
    ]);
    const refused = await bridle(['image', 'inspect', '--platform', 'linux/riscv64', list], {
      cwd: scratch(),
    });
    expect(refused.stderr).toMatch(
      /nothing for linux\/riscv64[\s\S]*hint: it has linux\/amd64, linux\/s390x/,
    );
  });

  test('F2 P4 whose connection breaks in each layer is pulled all the same', async () => {
    const name = 'broken/busy:1';
    await image('push', at('hybrid.tar'), `${registry.open}/${name}`);
    const proxy = await startFaultProxy({ port: Number(registry.open.split(':')[1]) });
    try {
      proxy.setRules([{ times: 4, break: { direction: 'down', at: 300_000, how: 'reset' } }]);
      const cwd = scratch();
      const pulled = await bridle(['image', 'pull', `127.0.0.1:${proxy.port}/${name}`, 'a.tar'], { cwd });
      expect(pulled).toMatchObject({ status: 0 });
      expect(await bridle(['image', 'verify', 'a.tar'], { cwd })).toMatchObject({ status: 0 });
      expect(readdirSync(join(cwd, '.local/state/bridle/images/sha256'))).toEqual([]);
    } finally {
      await proxy.close();
    }
  });
});

describe('an image as a source of transfers', () => {
  test('is the archive that `image pull` keeps, by `cp` and by a list, and is loaded', async () => {
    const name = `${registry.open}/cp/busy:1`;
    await image('push', at('hybrid.tar'), name);
    const cwd = scratch();
    expect(await bridle(['cp', '-q', `docker://${name}`, 'cp.tar'], { cwd })).toMatchObject({ status: 0 });
    const list = JSON.stringify([
      {
        type: 'transfer',
        lfn: 'busy',
        src_urls: [{ site_label: 'local', url: `docker://${name}` }],
        dest_urls: [{ site_label: 'local', url: `file://${cwd}/list.tar`, type: 'docker' }],
      },
    ]);
    const transferred = await bridle([], { cwd, program: 'pegasus-transfer', input: list });
    expect(transferred.status).toBe(0);
    await image('pull', name, at('kept.tar'));
    const kept = readFileSync(at('kept.tar'));
    expect(readFileSync(join(cwd, 'cp.tar')).equals(kept)).toBe(true);
    expect(readFileSync(join(cwd, 'list.tar')).equals(kept)).toBe(true);
    expect(podman(['load', '-i', join(cwd, 'list.tar')])).toContain(`Loaded image: ${name}`);
  });

  test('P9 is a SIF file for `singularity`, the same that `image pull` keeps, and nothing else is left', async () => {
    const name = `${registry.open}/sif/busy:1`;
    await image('push', at('hybrid.tar'), name);
    await image('pull', '--format', 'sif', name, at('kept.sif'));
    const sif = await readSif(at('kept.sif'));
    expect(sif.architecture).toBe('amd64');
    const cwd = scratch();
    mkdirSync(join(cwd, 'scratch'));
    const list = JSON.stringify([
      {
        type: 'transfer',
        lfn: 'busy',
        src_urls: [{ site_label: 'local', url: `docker://${name}` }],
        dest_urls: [{ site_label: 'local', url: `file://${cwd}/busy.sif`, type: 'singularity' }],
      },
    ]);
    const env = { TMPDIR: join(cwd, 'scratch') };
    const transferred = await bridle([], { cwd, program: 'pegasus-transfer', input: list, env });
    expect(transferred.status).toBe(0);
    expect(readFileSync(join(cwd, 'busy.sif')).equals(readFileSync(at('kept.sif')))).toBe(true);
    expect(readdirSync(join(cwd, 'scratch'))).toEqual([]);
    const partition = sif.objects.find(({ partition: kind }) => kind !== undefined);
    const told = execFileSync(
      findProgram('unsquashfs'),
      ['-o', String(partition?.offset), '-cat', at('kept.sif'), 'greeting'],
      { encoding: 'utf8' },
    );
    expect(told).toBe(GREETING);
  });

  test('F2 P4 that breaks off goes on in the middle of a layer', async () => {
    const top = tarOf([{ name: 'noise', content: noise(12 * 1024 * 1024) }]);
    await writeImage(
      busyboxImage(findProgram('busybox'), { layers: [top], isPlain: true }),
      'hybrid',
      at('large.tar'),
    );
    await image('push', at('large.tar'), `${registry.open}/large:1`);
    const proxy = await startFaultProxy({ port: Number(registry.open.split(':')[1]) });
    try {
      proxy.setRules([{ times: 2, break: { direction: 'down', at: 6 * 1024 * 1024, how: 'reset' } }]);
      const cwd = scratch();
      const name = `docker://127.0.0.1:${proxy.port}/large:1`;
      const copied = await bridle(['cp', '-q', name, 'a.tar'], { cwd });
      expect(copied).toMatchObject({ status: 0 });
      await image('verify', join(cwd, 'a.tar'), `${registry.open}/large:1`);
      // What came before the break was not asked for again.
      expect(proxy.counts().bytesDown).toBeLessThan(13 * 1024 * 1024);
    } finally {
      await proxy.close();
    }
  });
});
