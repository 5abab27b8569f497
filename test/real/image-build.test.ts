import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { openPodman, type Podman } from '../../fixtures/servers/podman.ts';
import type { RunningRegistry } from '../../fixtures/servers/registry.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { processStat } from '../../src/job/proc.ts';
import { writerId } from '../../src/local/writer.ts';
import { bridle, ended, scratch, start } from '../commands/run-command.ts';

let box: Podman;
let registry: RunningRegistry;
beforeAll(async () => {
  for (const name of ['buildah', 'podman', 'busybox', 'tar2sqfs', 'unsquashfs']) findProgram(name);
  box = openPodman();
  registry = await startServer('registry');
}, 120_000);
afterAll(async () => {
  box?.close();
  await registry?.stop();
});

/** What needs no network at all. */
const OFFLINE = ['--engine-args', '--network none'];

const DOCKERFILE = `ARG WHO=nobody
FROM scratch
ARG WHO
COPY busybox /bin/sh
RUN echo "made for $WHO" > /made
ENTRYPOINT ["/bin/sh", "-c", "read line < /made; echo $line"]
`;

/** A directory with a Dockerfile and what it copies. */
function recipe(text = DOCKERFILE): string {
  const cwd = scratch();
  mkdirSync(join(cwd, 'tool'));
  copyFileSync(findProgram('busybox'), join(cwd, 'tool/busybox'));
  writeFileSync(join(cwd, 'tool/Dockerfile'), text);
  return cwd;
}

/** The engines as they are, and podman under the name of docker, as Debian's `podman-docker` has it. */
function environment(engine: string, cwd: string) {
  if (engine !== 'docker') return box.environment;
  mkdirSync(join(cwd, 'bin'));
  symlinkSync(box.program, join(cwd, 'bin/docker'));
  return { ...box.environment, PATH: `${join(cwd, 'bin')}:${box.environment.PATH}` };
}

/** Those without a name are what the engine keeps for the next build. */
const imageNames = () =>
  box
    .call('images', '--format', '{{.Repository}}:{{.Tag}}')
    .split('\n')
    .filter((name) => name !== '' && name !== '<none>:<none>');

describe.each(['buildah', 'podman', 'docker'])('bridle image build with %s', (engine) => {
  test('builds from a Dockerfile, keeps it as an archive that runs, and leaves no image in the store', async () => {
    const cwd = recipe();
    const args = [
      'image',
      'build',
      'tool',
      '--engine',
      engine,
      ...OFFLINE,
      '--build-arg',
      'WHO=us',
      '--tag',
      'localhost/us:2',
    ];
    const told = await bridle(args, { cwd, env: environment(engine, cwd) });
    expect(told).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^localhost\/us:2\n.*→ us_2\.tar \(hybrid\)\n$/),
    });
    expect(told.stderr).toMatch(/^STEP 1\//m);
    const verified = await bridle(['image', 'verify', 'us_2.tar'], { cwd });
    expect(verified).toMatchObject({ status: 0, stderr: '' });
    expect(imageNames()).toEqual([]);
    box.call('load', '--input', join(cwd, 'us_2.tar'));
    expect(box.call('run', '--rm', 'localhost/us:2')).toBe('made for us\n');
    box.call('rmi', 'localhost/us:2');
  });
});

describe('bridle image build', () => {
  test('makes a SIF file, and pushes an image and a SIF file into a registry', async () => {
    const cwd = recipe();
    const call = (to: string) =>
      bridle(['image', 'build', 'tool', '--quiet', ...OFFLINE, to], { cwd, env: box.environment });
    expect(await call('tool.sif')).toMatchObject({ status: 0, stderr: '' });
    const tree = join(cwd, 'tree');
    expect(await bridle(['image', 'convert', 'tool.sif', `sandbox:${tree}`], { cwd })).toMatchObject({
      status: 0,
    });
    expect(readFileSync(join(tree, 'made'), 'utf8')).toBe('made for nobody\n');
    expect(await call(`docker://${registry.open}/built/tool:1`)).toMatchObject({ status: 0, stderr: '' });
    const pulled = await bridle(['image', 'inspect', `docker://${registry.open}/built/tool:1`], { cwd });
    expect(pulled.stdout).toMatch(/^entrypoint +\["\/bin\/sh","-c"/m);
    expect(await call(`oras://${registry.open}/built/tool:sif`)).toMatchObject({ status: 0, stderr: '' });
    const kept = await bridle(['image', 'verify', `oras://${registry.open}/built/tool:sif`], { cwd });
    expect(kept).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('it has the digest that the service tells'),
    });
  });

  test('gives the same bytes again where the date is given', async () => {
    const cwd = recipe();
    const env = { ...box.environment, SOURCE_DATE_EPOCH: '1700000000' };
    for (const name of ['a.tar', 'b.tar']) {
      expect(await bridle(['image', 'build', 'tool', '-q', ...OFFLINE, name], { cwd, env })).toMatchObject({
        status: 0,
      });
    }
    expect(readFileSync(join(cwd, 'a.tar')).equals(readFileSync(join(cwd, 'b.tar')))).toBe(true);
  });

  test('a step that fails is told in the words of the engine, and nothing is left', async () => {
    const cwd = recipe('FROM scratch\nCOPY busybox /bin/sh\nRUN exit 3\n');
    const env = { ...box.environment, TMPDIR: cwd };
    const told = await bridle(['image', 'build', 'tool', ...OFFLINE], { cwd, env });
    expect(told).toMatchObject({ status: 1, stdout: '' });
    expect(told.stderr).toMatch(
      /^bridle: `\/usr\/bin\/buildah build` ended with status \d+: Error: .*RUN exit 3/m,
    );
    expect(readdirSync(cwd)).toEqual(['tool']);
  });

  test.each(['buildah', 'podman'])('P11 TERM ends what %s runs, and leaves no container', async (engine) => {
    // A number that no other process has on its command line.
    const seconds = String(1_000_000 + process.pid);
    const cwd = recipe(
      `FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/sleep\nRUN sleep ${seconds} || true\nRUN sleep ${seconds}\n`,
    );
    const env = { ...box.environment, TMPDIR: cwd };
    const child = start(['image', 'build', 'tool', '--engine', engine, ...OFFLINE], { cwd, env });
    const end = ended(child);
    let sleeper: number | undefined;
    await expect.poll(() => (sleeper = processOf(['sleep', seconds])), { timeout: 30_000 }).toBeDefined();
    child.kill('SIGTERM');
    expect(await end).toMatchObject({ status: 143, stdout: '' });
    await expect.poll(() => processStat(sleeper ?? 0)).toBeUndefined();
    expect(processOf(['sleep', seconds])).toBeUndefined();
    const containers = execFileSync(findProgram('buildah'), ['containers', '--quiet'], {
      env: box.environment,
    });
    expect(containers.toString()).toBe('');
    expect(readdirSync(cwd)).toEqual(['tool']);
  });

  test('an image that a killed build left with docker goes with the next build', async () => {
    const cwd = recipe('FROM scratch\nCOPY busybox /bin/sh\n');
    const env = environment('docker', cwd);
    const dead = `${writerId().slice(0, 8)}-ffffffff-000000000000`;
    for (const name of [`bridle-build:${dead}`, 'bridle-build:somebody'])
      box.call('import', box.archive, name);
    const told = await bridle(['image', 'build', 'tool', '--engine', 'docker', '-q', ...OFFLINE], {
      cwd,
      env,
    });
    expect(told).toMatchObject({ status: 0, stderr: '' });
    expect(imageNames()).toEqual(['localhost/bridle-build:somebody']);
    box.call('rmi', 'localhost/bridle-build:somebody');
  });
});

/** The process with this command line. */
function processOf(words: readonly string[]): number | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/cmdline`, 'latin1') === `${words.join('\0')}\0`) return Number(name);
    } catch {
      // It has ended.
    }
  }
  return undefined;
}
