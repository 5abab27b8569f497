import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { putImage, putSif } from '../../fixtures/misbehaving/registry.ts';
import { startSifServices } from '../../fixtures/misbehaving/sif-services.ts';
import { tarOf } from '../image/busybox-image.ts';
import { makeSif } from '../image/made-sif.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle, scratch } from './run-command.ts';

afterEach(closeScene);

const LAYER = tarOf([{ name: 'greeting', content: Buffer.from('hello') }]);

/** A place with programs of these names that only note that they were called. */
function place(...programs: readonly string[]) {
  const cwd = scratch();
  const [bin, tmp] = [join(cwd, 'bin'), join(cwd, 'tmp')];
  for (const directory of [bin, tmp]) mkdirSync(directory);
  for (const name of programs)
    writeFileSync(join(bin, name), `#!/bin/sh\n: > ${cwd}/called\n`, { mode: 0o755 });
  return { cwd, tmp, called: join(cwd, 'called'), env: { PATH: bin, TMPDIR: tmp } };
}

describe('bridle run --image of a registry', () => {
  test('S2 --dry-run shows the pull without the login, and what each engine is given', async () => {
    const { cwd, env } = place('apptainer', 'tar2sqfs');
    const args = ['run', '--dry-run', '--image', 'docker://me:secret@host.example/a/b:1', '--', 'true'];
    const run = await bridle(args, { cwd, env });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    const [pull, line] = run.stdout.split('\n');
    expect(pull).toBe('bridle image pull --format sif docker://host.example/a/b:1 IMAGE-AS-PULLED');
    expect(line).toContain(' IMAGE-AS-PULLED /bin/sh ');
    const { cwd: other, env: withDocker } = place('docker');
    const docker = await bridle(args, { cwd: other, env: withDocker });
    expect(docker.stdout).toContain('--format hybrid docker://host.example/a/b:1 IMAGE-AS-PULLED\n');
    expect(docker.stdout).toContain('docker load --input IMAGE-AS-PULLED\n');
    expect(run.stdout + docker.stdout).not.toContain('secret');
  });

  test.each([
    [['shifter:///rynge/montage:latest'], 'rynge/montage:latest'],
    [['docker:///rynge/montage:latest', '--engine', 'shifter'], 'docker:rynge/montage:latest'],
  ])('%j is left to shifter, by the name that it knows', async (args, name) => {
    const { cwd, env } = place('shifter', 'docker');
    const run = await bridle(['run', '--dry-run', '--image', ...args, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(run.stdout).toContain(`shifter --image ${name} --volume `);
  });

  test('P4 uses a relative --state and --cache of where it is called', async () => {
    const started = await registry();
    putImage(started, { repository: 'a/b', tag: '1' }, [LAYER]);
    const image = `docker://${started.authority}/a/b:1`;
    const { cwd, env } = place('docker');
    const run = (...args: readonly string[]) =>
      bridle(['run', ...args, '--image', image, '--', 'true'], { cwd, env });
    await run('--state', 'state');
    expect(existsSync(join(cwd, 'state/images/sha256'))).toBe(true);
    await run('--cache', 'cache');
    expect(readdirSync(join(cwd, 'cache/content'))).not.toEqual([]);
  });

  test('P1 S8 whose layer is wrong is 71 before any engine is called, and nothing is left', async () => {
    const started = await registry();
    const made = putImage(started, { repository: 'a/b', tag: '1' }, [LAYER]);
    started.blobs.set(made.layers[0]!, Buffer.alloc(started.blobs.get(made.layers[0]!)!.length));
    const { cwd, env, tmp, called } = place('docker');
    const image = `docker://${started.authority}/a/b:1`;
    const run = await bridle(['run', '--image', image, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 71, stderr: expect.stringContaining('expected `sha256:') });
    expect([existsSync(called), readdirSync(tmp)]).toEqual([false, []]);
  });

  test.each([
    [['docker://UPPER/Case'], ['docker'], 'expected a repository in lower case'],
    [['shifter:///a/b'], ['docker'], 'none of shifter is in PATH'],
    [['oci://host.example/a/b'], ['apptainer'], 'making a SIF file: none of tar2sqfs, mksquashfs is in PATH'],
  ])('%j is refused before anything is fetched', async (args, programs, problem) => {
    const { cwd, env, called } = place(...programs);
    const run = await bridle(['run', '--image', ...args, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining(problem) });
    expect(existsSync(called)).toBe(false);
  });
});

describe('bridle run --image of a SIF file at a service', () => {
  const SIF = makeSif(Buffer.from('partition'));

  /** An apptainer that keeps what it was called with and the image, and runs the job outside. */
  function withApptainer() {
    const made = place();
    const script = `#!/bin/sh
echo "$@" > ${made.cwd}/called
for word; do
  case $word in *.sif) /bin/cp "$word" ${made.cwd}/image ;; esac
done
: > ${made.cwd}/jobs/$(/bin/ls ${made.cwd}/jobs)/.bridle-started
`;
    mkdirSync(join(made.cwd, 'jobs'));
    writeFileSync(join(made.cwd, 'bin/apptainer'), script, { mode: 0o755 });
    return made;
  }

  test('hands the engine the file as it is, told by its digest, and removes it', async () => {
    const started = await registry();
    const { digest } = putSif(started, { repository: 'a/tool', tag: '1' }, SIF);
    const services = await startSifServices();
    try {
      const hex = services.put('lab/tools/montage:1', SIF);
      services.put('lab/tool:1', SIF);
      for (const [image, pulled] of [
        [`oras://${started.authority}/a/tool:1`, `oras://${started.authority}/a/tool:1@${digest}`],
        ['library://lab/tools/montage:1', `library://lab/tools/montage:sha256.${hex}`],
        ['shub://lab/tool:1', 'shub://lab/tool:1@'],
      ] as const) {
        const { cwd, env, tmp, called } = withApptainer();
        const more = { BRIDLE_LIBRARY_URL: services.url, BRIDLE_SHUB_URL: services.url };
        const args = ['run', '-w', 'jobs', '--image', image, '--', 'true'];
        const run = await bridle(args, { cwd, env: { ...env, ...more, BRIDLE_PLATFORM: 'linux/amd64' } });
        expect([run.status, run.stderr]).toEqual([0, expect.stringContaining(`pulled ${pulled}`)]);
        expect(readFileSync(called, 'utf8')).toMatch(/^exec .*\/tmp\/.*\/image\.sif /);
        expect(readFileSync(join(cwd, 'image')).equals(SIF)).toBe(true);
        expect(readdirSync(tmp)).toEqual([]);
      }
    } finally {
      await services.close();
    }
  });

  test('S2 --dry-run shows the pull without the login', async () => {
    const { cwd, env } = place('apptainer');
    const image = 'oras://me:secret@host.example/a/b:1';
    const run = await bridle(['run', '--dry-run', '--image', image, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(run.stdout).toContain('pull --format sif oras://host.example/a/b:1 IMAGE-AS-PULLED\n');
    expect(run.stdout).not.toContain('secret');
  });

  test('P1 S8 that is wrong is 71 before any engine is called, and nothing is left', async () => {
    const started = await registry();
    const { content } = putSif(started, { repository: 'a/b', tag: '1' }, SIF);
    started.blobs.set(content, Buffer.from(SIF).fill(1, 40, 41));
    const { cwd, env, tmp, called } = place('apptainer');
    const image = `oras://${started.authority}/a/b:1`;
    const run = await bridle(['run', '-m', '1', '--image', image, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 71, stderr: expect.stringContaining(content.slice(7)) });
    expect([existsSync(called), readdirSync(tmp)]).toEqual([false, []]);
  });

  test.each([
    [['library://a/b/c', '--engine', 'podman'], '--engine: expected one that runs a SIF'],
    [['shub://only'], 'expected `USER/CONTAINER`'],
    [['oras://host.example/UPPER'], 'expected a repository in lower case'],
  ])('%j is refused before anything is fetched', async (args, problem) => {
    const { cwd, env } = place('apptainer', 'podman');
    const run = await bridle(['run', '--image', ...args, '--', 'true'], { cwd, env });
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining(problem) });
  });
});
