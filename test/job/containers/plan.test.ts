import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type EngineName, findEngine } from '../../../src/job/containers/engine.ts';
import type { ContainerOrder } from '../../../src/job/containers/order.ts';
import { planContainer } from '../../../src/job/containers/plan.ts';
import { scratch } from '../../faults/scene.ts';

const ORDER: ContainerOrder = {
  program: '/usr/bin/engine',
  image: '/images/montage.tar',
  form: 'archive',
  directory: '/scratch/bridle-1',
  mounts: [],
  variables: [],
  gpus: false,
  more: [],
  name: 'bridle-1',
  uid: 1000,
  gid: 100,
  hasMoreIds: true,
};
const RICH: ContainerOrder = {
  ...ORDER,
  mounts: ['/data:/data:ro', '/refs:/refs'],
  variables: ['OMP_NUM_THREADS', 'LANG'],
  gpus: true,
  more: ['--memory', '2g'],
};
const COMMAND = ['./count', '--in', 'a b', "it's"] as const;

const lineOf = (engine: EngineName, order: ContainerOrder, image = order.image) =>
  planContainer(engine, order).run(image, COMMAND);

describe('command lines', () => {
  test("docker: the job is the user who started it, in the place of the image's entry point", () => {
    expect(lineOf('docker', ORDER, 'montage:latest')).toEqual([
      ...['/usr/bin/engine', 'run', '--interactive', '--name', 'bridle-1'],
      ...['--label', 'org.bridle.job', '--user', '1000:100'],
      ...['--volume', '/scratch/bridle-1:/scratch', '--workdir', '/scratch'],
      ...['--env', 'HOME=/scratch', '--entrypoint', './count', 'montage:latest', '--in', 'a b', "it's"],
    ]);
    expect(lineOf('docker', RICH, 'montage:latest')).toEqual([
      ...['/usr/bin/engine', 'run', '--interactive', '--name', 'bridle-1'],
      ...['--label', 'org.bridle.job', '--user', '1000:100'],
      ...['--volume', '/scratch/bridle-1:/scratch', '--volume', '/data:/data:ro', '--volume', '/refs:/refs'],
      ...['--workdir', '/scratch', '--gpus', 'all', '--env', 'HOME=/scratch'],
      ...['--env', 'OMP_NUM_THREADS', '--env', 'LANG'],
      ...['--memory', '2g', '--entrypoint', './count', 'montage:latest', '--in', 'a b', "it's"],
    ]);
  });

  test('P8 an init goes before the job where there is one: the first process of a container would ignore TERM', () => {
    const line = lineOf('podman', { ...ORDER, init: '/usr/bin/catatonit' });
    expect(line.join(' ')).toContain(' --init --init-path /usr/bin/catatonit ');
    const docker = lineOf('docker', { ...ORDER, init: '/usr/bin/docker-init' });
    expect(docker.filter((word) => word.startsWith('--init'))).toEqual(['--init']);
  });

  test('docker and podman load an archive, ask when the job began, and remove the container', () => {
    for (const engine of ['docker', 'podman'] as const) {
      expect(planContainer(engine, ORDER)).toMatchObject({
        load: ['/usr/bin/engine', 'load', '--input', '/images/montage.tar'],
        inspect: ['/usr/bin/engine', 'inspect', '--format', '{{.State.StartedAt}}', 'bridle-1'],
        remove: ['/usr/bin/engine', 'rm', '--force', 'bridle-1'],
      });
      expect(planContainer(engine, { ...ORDER, form: 'name' }).load).toBeUndefined();
    }
  });

  test('podman keeps the id of a user who is not root, and runs a directory as it is', () => {
    const line = lineOf('podman', { ...RICH, form: 'directory' }, '/images/root');
    expect(line).toEqual(expect.arrayContaining(['--userns', 'keep-id']));
    expect(line).not.toContain('--user');
    expect(line).toEqual(expect.arrayContaining(['--device', 'nvidia.com/gpu=all']));
    expect(line.slice(-6)).toEqual(['./count', '--rootfs', '/images/root', '--in', 'a b', "it's"]);
    const shared = lineOf('podman', { ...RICH, form: 'directory', isReadOnly: true }, '/images/root');
    expect(shared.slice(-5, -3)).toEqual(['--rootfs', '/images/root:O']);
    const alone = lineOf('podman', { ...ORDER, hasMoreIds: false });
    expect(alone).toEqual(expect.arrayContaining(['--user', '0:0']));
    expect(alone).not.toContain('--userns');
    expect(lineOf('podman', { ...ORDER, uid: 0, gid: 0 })).toEqual(expect.arrayContaining(['--user', '0:0']));
  });

  test.each(['apptainer', 'singularity'] as const)('%s: as PegasusLite calls it', (engine) => {
    const outside = 'export HOME=/srv; unset TMPDIR; unset TMP; unset TEMP';
    const script = `${outside}; : >"$0" && exec "$@"`;
    const marked = ['/bin/sh', '-c', script, '/srv/.bridle-started', ...COMMAND];
    expect(lineOf(engine, { ...ORDER, form: 'sif' }, '/images/montage.sif')).toEqual([
      ...['/usr/bin/engine', 'exec', '--no-home', '--bind', '/scratch/bridle-1:/srv', '--pwd', '/srv'],
      ...['/images/montage.sif', ...marked],
    ]);
    expect(lineOf(engine, RICH)).toEqual([
      ...['/usr/bin/engine', 'exec', '--no-home', '--nv', '--bind', '/scratch/bridle-1:/srv'],
      ...['--bind', '/data:/data:ro', '--bind', '/refs:/refs', '--pwd', '/srv', '--memory', '2g'],
      ...['docker-archive:/images/montage.tar', ...marked],
    ]);
  });

  test('the home and temporary directory outside are not those inside, unless they are asked for', () => {
    const variables = ['HOME', 'TMPDIR'];
    expect(lineOf('docker', { ...ORDER, variables })).toEqual(expect.arrayContaining(['--env', 'HOME']));
    expect(lineOf('docker', { ...ORDER, variables })).not.toContain('HOME=/scratch');
    expect(lineOf('apptainer', { ...ORDER, form: 'sif', variables })).toContain(
      'unset TMP; unset TEMP; : >"$0" && exec "$@"',
    );
  });

  test('shifter: as PegasusLite calls it', () => {
    expect(lineOf('shifter', { ...RICH, form: 'name' }, 'docker:rynge/montage:latest')).toEqual([
      ...['/usr/bin/engine', '--image', 'docker:rynge/montage:latest'],
      ...['--volume', '/data:/data:ro;/refs:/refs;/scratch/bridle-1:/scratch', '--workdir=/scratch'],
      ...['--memory', '2g', ...COMMAND],
    ]);
  });

  test.each(['data:/data', '/data', '/data:data', '/a:/b:ro:rw', '/a;b:/c'])(
    'S4 the mount `%s` is refused',
    (mount) => {
      expect(() => planContainer('docker', { ...ORDER, mounts: [mount] })).toThrow(
        `--mount: expected \`/SOURCE:/TARGET[:OPTIONS]\`, got \`${mount}\``,
      );
    },
  );

  test('S4 a work directory that an engine would read as two is refused', () => {
    expect(() => planContainer('docker', { ...ORDER, directory: '/scratch/a:/etc' })).toThrow(/without `:`/);
  });

  test('P10 the value of a variable is on no command line', () => {
    for (const engine of ['docker', 'podman', 'apptainer', 'shifter'] as const) {
      const line = lineOf(engine, { ...ORDER, variables: ['TOKEN'] });
      expect(line.join(' ')).not.toMatch(/TOKEN=/);
    }
  });
});

describe('the engine', () => {
  function installed(...names: EngineName[]): string {
    const directory = scratch();
    mkdirSync(join(directory, 'bin'));
    for (const name of names) {
      writeFileSync(join(directory, 'bin', name), '');
      chmodSync(join(directory, 'bin', name), 0o755);
    }
    return `relative:${directory}/none:${directory}/bin`;
  }

  test('is the best for the image that is there', () => {
    const path = installed('docker', 'singularity', 'apptainer');
    expect(findEngine('auto', 'archive', path)).toMatchObject({ name: 'docker' });
    expect(findEngine('auto', 'sif', path)).toMatchObject({
      name: 'apptainer',
      program: /\/bin\/apptainer$/,
    });
    expect(findEngine('singularity', 'sif', path)).toMatchObject({ name: 'singularity' });
    expect(findEngine('auto', 'name', installed('shifter'))).toMatchObject({ name: 'shifter' });
  });

  test('P6 that is not there, or cannot run the image, is told at once', () => {
    expect(() => findEngine('auto', 'sif', installed('docker'))).toThrow(
      'running a container: none of apptainer, singularity is in PATH',
    );
    expect(() => findEngine('docker', 'sif', installed('docker'))).toThrow(
      '--engine: expected one that runs a SIF (apptainer, singularity), got `docker`',
    );
    expect(() => findEngine('podman', 'archive', installed('docker'))).toThrow('none of podman is in PATH');
  });
});
