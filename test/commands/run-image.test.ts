import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { tarOf } from '../image/busybox-image.ts';
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
