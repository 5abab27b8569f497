import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPodman, openRootlessPodman, type Podman } from '../../fixtures/servers/podman.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { fromText } from '../../src/job/byte-text.ts';
import { openContainer } from '../../src/job/containers/container.ts';
import { type ContainerOrder, containerName } from '../../src/job/containers/order.ts';
import { writerId } from '../../src/local/writer.ts';
import { bridle, ended, start } from '../commands/run-command.ts';
import { scratch } from '../faults/scene.ts';

let podman: Podman;

beforeAll(() => {
  podman = openPodman();
}, 120_000);
afterAll(() => podman?.close());

function orderOf(box: Podman, more: Partial<ContainerOrder> = {}): ContainerOrder {
  return {
    program: box.program,
    image: box.archive,
    form: 'archive',
    directory: scratch(),
    mounts: [],
    variables: [],
    gpus: false,
    more: [],
    name: containerName(),
    uid: box.id,
    gid: box.id,
    hasMoreIds: false,
    ...more,
  };
}

/** Runs a command in a container and tells what became of both. */
async function inContainer(
  command: readonly [string, ...string[]],
  more: Partial<ContainerOrder> = {},
  box: Podman = podman,
) {
  const order = orderOf(box, more);
  const told: string[] = [];
  const environment = { ...box.environment, GIVEN: 'a value', KEPT: 'outside' };
  const { signal } = new AbortController();
  const container = await openContainer('podman', order, {
    environment,
    signal,
    say: (line) => told.push(line),
  });
  const [program, ...args] = container.wrap(command.map(fromText) as unknown as typeof command);
  const ran = spawnSync(program, args, { cwd: '/', env: environment, encoding: 'utf8' });
  const failure = await container.engineFailure(ran.status ?? -1);
  await container.close();
  return { ...ran, failure, order, told };
}

describe('podman', () => {
  test('runs the job in the image, at the work directory, as the user who started it', async () => {
    const order = { directory: scratch(), variables: ['GIVEN'] };
    writeFileSync(join(order.directory, 'in'), 'bytes');
    const script = 'pwd; id -u; cat in; echo " $GIVEN $KEPT."; echo made > out';
    const { stdout, status, failure, told } = await inContainer(['sh', '-c', script], order);
    expect({ status, failure, told }).toEqual({ status: 0, failure: undefined, told: [] });
    expect(stdout).toBe(`/scratch\n${process.getuid?.()}\nbytes a value .\n`);
    expect(readFileSync(join(order.directory, 'out'), 'utf8')).toBe('made\n');
    expect(statSync(join(order.directory, 'out')).uid).toBe(process.getuid?.());
    expect(podman.call('ps', '--all', '--quiet')).toBe('');
  });

  test('runs a directory that nothing may be made in, and leaves it as it was', async () => {
    const image = join(scratch(), 'debian_stable');
    mkdirSync(join(image, 'bin'), { recursive: true });
    for (const name of ['etc', 'proc', 'dev', 'sys', 'tmp']) mkdirSync(join(image, name));
    copyFileSync('/bin/busybox', join(image, 'bin/busybox'));
    symlinkSync('busybox', join(image, 'bin/sh'));
    const before = readdirSync(image, { recursive: true }).sort();
    const more = { image, form: 'directory', isReadOnly: true } as const;
    const ran = await inContainer(['sh', '-c', 'echo made > /made; echo $((6 * 7)) > out'], more);
    expect({ status: ran.status, failure: ran.failure }).toEqual({ status: 0, failure: undefined });
    expect(readFileSync(join(ran.order.directory, 'out'), 'utf8')).toBe('42\n');
    expect(readdirSync(image, { recursive: true }).sort()).toEqual(before);
  });

  test('mounts what is asked for, and nothing else', async () => {
    const shared = scratch();
    writeFileSync(join(shared, 'data'), 'shared');
    const mounts = [`${shared}:/data:ro`];
    const { stdout } = await inContainer(
      ['sh', '-c', 'cat /data/data; echo x > /data/new || echo " no"; ls -d /jobs /home || true'],
      { mounts },
    );
    expect(stdout).toBe('shared no\n');
  });

  test.each([0, 1, 125, 126, 127, 143])('a job that returns %i has done so itself', async (code) => {
    const { status, failure } = await inContainer(['sh', '-c', `exit ${code}`]);
    expect({ status, failure }).toEqual({ status: code, failure: undefined });
  });

  test('a program that the image does not have is the failure of the job', async () => {
    const { status, failure, stderr } = await inContainer(['./nothing']);
    expect({ status, failure }).toEqual({ status: 127, failure: undefined });
    expect(stderr).toContain('nothing');
  });

  test('what the engine fails with is told apart from what the job may return', async () => {
    const { status, failure } = await inContainer(['true'], { more: ['--no-such-option'] });
    expect({ status, failure }).toEqual({
      status: 125,
      failure: 'podman ended with 125 before the job was started',
    });
  });

  test("an image that cannot be loaded is told in the engine's words, before any job", async () => {
    const image = join(scratch(), 'image.tar');
    writeFileSync(image, 'no image');
    await expect(inContainer(['true'], { image })).rejects.toMatchObject({
      code: 'unexpected',
      message: expect.stringMatching(/^loading the image `.*image\.tar`: Error: payload does not match/),
    });
  });

  test('P9 the container of a run that was killed is removed by the next one, others stay', async () => {
    const { order } = await inContainer(['true']);
    const dead = `bridle-${writerId().slice(0, 8)}-00000001-00000000dead-1`;
    const alive = containerName();
    const [image = ''] = podman.call('images', '--quiet').trim().split('\n');
    for (const name of [dead, alive])
      podman.call('create', '--name', name, '--label', 'org.bridle.job', image, 'true');
    podman.call('create', '--name', 'foreign', image, 'true');
    await inContainer(['true'], { name: order.name });
    expect(podman.call('ps', '--all', '--format', '{{.Names}}').trim().split('\n').sort()).toEqual([
      alive,
      'foreign',
    ]);
    podman.call('rm', '--force', alive, 'foreign');
  });

  test('P9 nothing of a container goes on when who started it was killed', async () => {
    const order = orderOf(podman);
    const { signal } = new AbortController();
    const setting = { environment: podman.environment, signal, say: () => undefined };
    const container = await openContainer('podman', order, setting);
    const [program, ...args] = container.wrap(['sh', '-c', 'echo up; sleep 1000']);
    const child = spawn(program, args, { env: podman.environment, stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(podman.call('ps', '--quiet')).not.toBe('');
    await container.close();
    expect(podman.call('ps', '--all', '--quiet')).toBe('');
  });
});

describe.each([
  { moreIds: true, inside: 47_113 },
  // As root of a namespace where there is nobody else.
  { moreIds: false, inside: 0 },
])('podman of a user who is not root, more ids: $moreIds', ({ moreIds, inside }) => {
  let rootless: Podman;
  beforeAll(() => {
    rootless = openRootlessPodman({ moreIds });
  }, 120_000);
  afterAll(() => rootless?.close());

  test('the job writes as that user, and what the engine fails with is told apart', async () => {
    const directory = scratch();
    chownSync(directory, rootless.id, rootless.id);
    const more = { directory, variables: ['GIVEN'], hasMoreIds: moreIds };
    const script = 'id -u; echo "$HOME $GIVEN"; echo made > out; exit 125';
    const ran = await inContainer(['sh', '-c', script], more, rootless);
    expect({ status: ran.status, failure: ran.failure, told: ran.told }).toEqual({
      status: 125,
      failure: undefined,
      told: [],
    });
    expect(ran.stdout).toBe(`${inside}\n/scratch a value\n`);
    expect(statSync(join(directory, 'out')).uid).toBe(rootless.id);
    const failed = await inContainer(['true'], { ...more, more: ['--no-such-option'] }, rootless);
    expect(failed.failure).toBe('podman ended with 125 before the job was started');
    expect(rootless.call('ps', '--all', '--quiet')).toBe('');
  });
});

describe('bridle run --image', () => {
  const runIn = (cwd: string, ...args: readonly string[]) =>
    bridle(['run', '-q', '--image', podman.archive, ...args], { cwd, env: podman.environment });

  test('a job in a container gets its inputs, and its outputs go where they shall', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'numbers'), '1\n2\n');
    const script = 'cat in in > out; echo "sum: $TIMES"; echo "key=value" >> "$KICKSTART_METADATA"';
    const { status, stdout, stderr } = await bridle(
      [
        ...['run', '-q', '--image', podman.archive, '--engine', 'podman', '--env', 'TIMES'],
        ...['--input', 'in=numbers', '--output', 'out=doubled', '--record', 'job.yml'],
        ...['--', 'sh', '-c', script],
      ],
      { cwd, env: { ...podman.environment, TIMES: '2' } },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'sum: 2\n', stderr: '' });
    expect(readFileSync(join(cwd, 'doubled'), 'utf8')).toBe('1\n2\n1\n2\n');
    expect(readFileSync(join(cwd, 'job.yml'), 'utf8')).toContain('--volume');
    expect(podman.call('ps', '--all', '--quiet')).toBe('');
  });

  test('an image of a registry is pulled on the host, run by podman, and removed', async () => {
    const registry = await startServer('registry');
    try {
      const name = `${registry.open}/run/busy:1`;
      const cwd = scratch();
      const pushed = await bridle(['image', 'push', '-q', podman.archive, name], { cwd });
      expect(pushed).toMatchObject({ status: 0 });
      mkdirSync(join(cwd, 'tmp'));
      const env = { ...podman.environment, TMPDIR: join(cwd, 'tmp'), BRIDLE_CACHE: join(cwd, 'cache') };
      const args = ['--image', `docker://${name}`, '--engine', 'podman', '--', 'sh', '-c', 'echo in $(pwd)'];
      const run = await bridle(['run', ...args], { cwd, env });
      expect(run).toMatchObject({ status: 0, stdout: 'in /scratch\n' });
      expect(run.stderr).toContain(`pulled ${name}@sha256:`);
      expect(readdirSync(join(cwd, 'tmp'))).toEqual([]);
      expect(podman.call('images', '--format', '{{.Repository}}:{{.Tag}}')).toContain(name);
      const kept = readdirSync(join(cwd, 'cache/content'));
      expect(kept.some((one) => one.startsWith('made-'))).toBe(true);
    } finally {
      await registry.stop();
    }
  }, 60_000);

  test('the scratch space of the batch system is at its path inside; credentials only when they are passed on', async () => {
    const cwd = scratch();
    const scratchSpace = scratch();
    writeFileSync(join(scratchSpace, 'shared'), 'shared\n');
    writeFileSync(join(cwd, 'key'), 'secret\n', { mode: 0o600 });
    const env = {
      ...podman.environment,
      _CONDOR_SCRATCH_DIR: scratchSpace,
      SSH_PRIVATE_KEY_site: join(cwd, 'key'),
    };
    const script =
      'cat "$_CONDOR_SCRATCH_DIR/shared"; test -z "$SSH_PRIVATE_KEY_site" || cat "$SSH_PRIVATE_KEY_site"';
    const job = ['--image', podman.archive, '--engine', 'podman', '--', 'sh', '-c', script];
    expect(await bridle(['run', '-q', ...job], { cwd, env })).toMatchObject({
      status: 0,
      stdout: 'shared\n',
    });
    expect(await bridle(['run', '-q', '--pass-credentials', ...job], { cwd, env })).toMatchObject({
      status: 0,
      stdout: 'shared\nsecret\n',
    });
  });

  test('the status of the job is that of the run', async () => {
    const cwd = scratch();
    expect((await runIn(cwd, '--', 'sh', '-c', 'exit 125')).status).toBe(125);
    // The init that starts it says 1 where podman itself says 127.
    const missing = await runIn(cwd, '--', './nothing');
    expect(missing).toMatchObject({ status: 1, stderr: expect.stringContaining('No such file') });
  });

  test('an engine that fails is 71, and says so', async () => {
    const run = await runIn(scratch(), '--container-args', '--no-such-option', '--', 'true');
    expect(run).toMatchObject({
      status: 71,
      stderr: expect.stringContaining('bridle: podman ended with 125 before the job was started\n'),
    });
  });

  test('an image that is none is 71, before any job', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'image.tar'), 'no image');
    const run = await bridle(['run', '--image', 'image.tar', '--', 'true'], { cwd, env: podman.environment });
    expect(run).toMatchObject({ status: 71, stderr: expect.stringContaining('loading the image `') });
  });

  test('P8 P9 a job that is told to end does, and its container is gone', async () => {
    const cwd = scratch();
    const args = ['run', '-q', '--image', podman.archive, '--', 'sh', '-c', 'echo up; sleep 1000'];
    const child = start(args, { cwd, env: podman.environment });
    const over = ended(child);
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    child.kill('SIGTERM');
    const { status } = await over;
    expect(status).toBe(143);
    expect(podman.call('ps', '--all', '--quiet')).toBe('');
  });
});
