import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeSif } from '../image/made-sif.ts';
import { bridle, scratch } from './run-command.ts';

/** A directory with programs of these names, which do what `script` says. */
function programs(cwd: string, names: readonly string[], script = 'exit 1'): string {
  const directory = join(cwd, 'programs');
  mkdirSync(directory);
  for (const name of names) {
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, name), 0o755);
  }
  return directory;
}

function withFiles(files: Readonly<Record<string, string>>): string {
  const cwd = scratch();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    writeFileSync(join(cwd, name), text);
  }
  return cwd;
}

const DOCKERFILE = '# syntax=docker/dockerfile:1\n\nfrom scratch\n';
const DEFINITION = '# made for all\nFrom: debian:12\nBootstrap: docker\n\n%post\n  true\n';

/** The command lines of a dry run, with the directories cut off. */
async function lines(cwd: string, args: readonly string[], engines: readonly string[], env = {}) {
  const PATH = programs(cwd, engines);
  const told = await bridle(['image', 'build', '--dry-run', ...args], { cwd, env: { PATH, ...env } });
  expect(told).toMatchObject({ status: 0, stderr: '' });
  return told.stdout.replaceAll(`${PATH}/`, '').replaceAll(cwd, '.').trimEnd().split('\n');
}

describe('bridle image build --dry-run', () => {
  test('hands a Dockerfile over to buildah, before podman and docker', async () => {
    const cwd = withFiles({ 'Tool Box/Dockerfile': DOCKERFILE });
    const args = ['Tool Box', '--build-arg', 'WHO=a b', '--build-arg', 'HOME', '--target', 'last'];
    const more = ['--platform', 'linux/arm64', '--engine-args', '--network=none --no-cache'];
    expect(await lines(cwd, [...args, ...more], ['docker', 'podman', 'buildah'])).toEqual([
      "buildah build --tag oci-archive:IMAGE-AS-BUILT.tar:localhost/tool-box:latest --disable-compression=false --file './Tool Box/Dockerfile' --platform linux/arm64 --target last --build-arg 'WHO=a b' --build-arg HOME --network=none --no-cache './Tool Box'",
      'bridle image convert IMAGE-AS-BUILT.tar hybrid:./tool-box_latest.tar',
    ]);
  });

  test('takes podman where there is no buildah, dates what is made as SOURCE_DATE_EPOCH says, and compresses no layers for a SIF file', async () => {
    const cwd = withFiles({ 'recipes/samtools': DOCKERFILE });
    const args = ['recipes/samtools', '--context', '.', '--tag', 'quay.io/me/samtools:1.20', 'out.sif'];
    const engines = ['docker', 'podman', 'tar2sqfs'];
    expect(await lines(cwd, args, engines, { SOURCE_DATE_EPOCH: '1700000000' })).toEqual([
      'podman build --tag oci-archive:IMAGE-AS-BUILT.tar:quay.io/me/samtools:1.20 --disable-compression=true --timestamp 1700000000 --file ./recipes/samtools .',
      'bridle image convert IMAGE-AS-BUILT.tar sif:./out.sif',
    ]);
  });

  test('has docker build under a name of its own, and export it', async () => {
    const cwd = withFiles({ Containerfile: 'ARG BASE=scratch\nFROM $BASE\n' });
    const args = ['Containerfile', 'docker://user:secret@registry.example.org/me/x:1'];
    const told = (await lines(cwd, args, ['docker'])).map((line) =>
      line.replace(/build:\S+/, 'build:WRITER'),
    );
    expect(told).toEqual([
      'docker build --tag bridle-build:WRITER --file ./Containerfile .',
      'docker save --output ./IMAGE-AS-BUILT.tar bridle-build:WRITER',
      "bridle image push IMAGE-AS-BUILT.tar 'docker://***@registry.example.org/me/x:1'",
    ]);
  });

  test('hands a definition file over to apptainer, where its files are', async () => {
    const cwd = withFiles({ 'Singularity.montage': DEFINITION });
    const args = ['Singularity.montage', '--engine-args', '--fakeroot', '--build-arg', 'V=1'];
    expect(await lines(cwd, args, ['singularity', 'apptainer', 'podman'])).toEqual([
      'apptainer build --build-arg V=1 --fakeroot ./IMAGE-AS-BUILT.sif ./Singularity.montage',
      'bridle image convert IMAGE-AS-BUILT.sif sif:./montage_latest.sif',
    ]);
  });
});

describe('bridle image build', () => {
  test.each([
    [['.'], 1, /^bridle: build `[^`]+`: expected a Containerfile, a Dockerfile or a definition file/],
    [['gone'], 1, /^bridle: build `[^`]+gone`: no such file or directory/],
    [['two'], 2, /several build files are in it\nhint: name one: \S+two\/Dockerfile, \S+two\/tool\.def\n/],
    [
      ['notes'],
      2,
      /expected `FROM` or `ARG` of a Dockerfile, or `Bootstrap:` of a definition file, got `name: value`/,
    ],
    [['empty'], 2, /definition file, got nothing\n/],
    [
      ['two/tool.def', 'docker://host.example/x'],
      2,
      /hint: as one file a registry keeps it under `oras:\/\/host.example\/x:latest`/,
    ],
    [['two/tool.def', 'oci:layout'], 2, /expected `sif` or `sandbox`, got `oci`/],
    [
      ['two/tool.def', '--target', 'a', '--dry-run'],
      2,
      /--target: apptainer builds a definition file without it/,
    ],
    [
      ['two/tool.def', '--engine', 'podman'],
      2,
      /--engine: expected one that builds a definition file \(apptainer, singularity\), got `podman`/,
    ],
    [
      ['two/Dockerfile', '--engine', 'apptainer'],
      2,
      /expected one that builds a Dockerfile \(buildah, podman, docker\), got `apptainer`/,
    ],
    [
      ['two/Dockerfile', '--engine', 'podman'],
      1,
      /building a Dockerfile: podman is not in PATH\nhint: install Debian's `buildah`/,
    ],
    [
      ['two/Dockerfile'],
      1,
      /building a Dockerfile: none of buildah, podman, docker is in PATH\nhint: .+ `bridle image pull` the result/,
    ],
    [['two/Dockerfile', 'oci:s3://bucket/x'], 2, /expected a directory of this machine/],
    [
      ['two/Dockerfile', 'oras://host.example/x', '--tag', 'y'],
      2,
      /--tag: the image gets the name in the registry/,
    ],
    [['two/Dockerfile', '--tag', 'Upper'], 2, /expected a repository in lower case/],
    [['two/Dockerfile', '--tag', `x@sha256:${'0'.repeat(64)}`], 2, /--tag: expected a name without a digest/],
    [['two/Dockerfile', '--context', 'notes'], 2, /--context: expected a directory, got `notes`/],
    [
      ['two/tool.def', '--build-arg', '9=secret'],
      2,
      /--build-arg: expected NAME=VALUE or NAME, got the name `9`/,
    ],
  ])('says what is wrong with %j', async (args, status, message) => {
    const cwd = withFiles({
      'two/Dockerfile': DOCKERFILE,
      'two/tool.def': DEFINITION,
      notes: 'name: value\n',
      empty: '# nothing\n',
    });
    const PATH = programs(cwd, ['apptainer']);
    const before = readdirSync(cwd);
    const told = await bridle(['image', 'build', ...args], { cwd, env: { PATH, TMPDIR: cwd } });
    expect(told).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(message) });
    expect(readdirSync(cwd)).toEqual(before);
  });

  test('refuses a date that is none', async () => {
    const cwd = withFiles({ Dockerfile: DOCKERFILE });
    const env = { PATH: programs(cwd, ['podman']), SOURCE_DATE_EPOCH: 'now' };
    const told = await bridle(['image', 'build', '.'], { cwd, env });
    expect(told).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/SOURCE_DATE_EPOCH: expected seconds/),
    });
  });

  // No package of Debian's stable release has apptainer.
  test('keeps the SIF file that an engine made, once all of it is there', async () => {
    const cwd = withFiles({
      'My Tool.def': DEFINITION,
      'a.sif': makeSif(Buffer.from('squash')).toString('latin1'),
    });
    writeFileSync(join(cwd, 'whole'), makeSif(Buffer.from('squash')));
    writeFileSync(join(cwd, 'cut'), makeSif(Buffer.from('squash')).subarray(0, -3));
    const PATH = programs(cwd, ['apptainer'], 'PATH=/bin:/usr/bin; echo "from $PWD"; cp "$PWD/$SOURCE" "$2"');
    const call = (SOURCE: string, ...args: string[]) =>
      bridle(['image', 'build', 'My Tool.def', ...args], { cwd, env: { PATH, SOURCE, TMPDIR: cwd } });
    const told = await call('whole');
    expect(told).toMatchObject({ status: 0, stderr: `from ${cwd}\n` });
    expect(told.stdout).toMatch(/^my-tool\n {2}\S+ KiB → my-tool_latest\.sif \(sif\)\n$/);
    expect(readFileSync(join(cwd, 'my-tool_latest.sif')).equals(readFileSync(join(cwd, 'whole')))).toBe(true);
    const cut = await call('cut', 'other.sif');
    expect(cut.stdout).toBe('');
    expect(cut.status).toBe(1);
    expect(cut.stderr).toMatch(/^bridle: /m);
    expect(existsSync(join(cwd, 'other.sif'))).toBe(false);
  });

  test('tells an engine that ends well and builds nothing from one that builds', async () => {
    const cwd = withFiles({ Dockerfile: DOCKERFILE });
    const PATH = programs(cwd, ['podman'], 'printf "\\033[31mred\\033[0m \\033\\n"');
    const told = await bridle(['image', 'build', '.'], { cwd, env: { PATH } });
    expect(told.status).toBe(1);
    expect(told.stderr).toBe(`red \\x1b\nbridle: \`${PATH}/podman\` ended well, and built no image\n`);
  });

  test('S5 shows no login of a registry that it refuses', async () => {
    const cwd = withFiles({ Dockerfile: DOCKERFILE, 'a.def': DEFINITION });
    for (const args of [
      ['a.def', 'docker://user:se@cret@host.example/x'],
      ['Dockerfile', '--tag', 'y', 'docker://user:secret@host.example/x'],
      ['Dockerfile', '--tag', 'y', 'oras://user:secret@host.example/x'],
    ]) {
      const told = await bridle(['image', 'build', ...args], { cwd, env: { PATH: '/none' } });
      expect(told).toMatchObject({ status: 2, stdout: '' });
      expect(told.stderr).toContain('host.example');
      expect(told.stderr).not.toMatch(/user|se@|cret/);
    }
  });

  test('P11 tells of a line without end in pieces', async () => {
    const cwd = withFiles({ Dockerfile: DOCKERFILE });
    const script = 'PATH=/bin:/usr/bin; head -c 200000 /dev/zero | tr "\\0" x; exit 1';
    const PATH = programs(cwd, ['podman'], script);
    const told = await bridle(['image', 'build', '.'], { cwd, env: { PATH } });
    expect(told.status).toBe(1);
    const longest = Math.max(...told.stderr.split('\n').map((line) => line.length));
    expect(told.stderr.match(/x/g)?.length).toBeGreaterThanOrEqual(200_000);
    expect(longest).toBeLessThan(150_000);
  });
});
