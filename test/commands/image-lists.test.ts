import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { tarOf } from '../image/busybox-image.ts';
import { makeSif } from '../image/made-sif.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle, type Ended, entry, scratch } from './run-command.ts';

const SIF = makeSif(Buffer.alloc(1000));

let cwd = '';
let host: Awaited<ReturnType<typeof registry>>;

beforeEach(async () => {
  host = await registry();
  putImage(host, { repository: 'a/b', tag: '1' }, [tarOf([{ name: 'x', content: Buffer.from('x') }])]);
  cwd = scratch();
  writeFileSync(join(cwd, 'x.sif'), SIF);
  mkdirSync(join(cwd, 'tree'));
});
afterEach(closeScene);

const image = () => `docker://${host.authority}/a/b:1`;
const file = (name: string) => `file://${cwd}/${name}`;
const content = (name: string) => readFileSync(join(cwd, name));
const isArchive = (bytes: Buffer) => bytes.subarray(0, 10).toString() === 'oci-layout';
const isSif = (bytes: Buffer) => bytes.subarray(0, 5).toString() === '#!/us';

/** An entry whose destination has a type. */
function typed(from: string, to: string, type: string, more: Readonly<Record<string, unknown>> = {}) {
  return { ...entry(from, to), dest_urls: [{ site_label: 'there', url: to, type }], ...more };
}

function dropIn(
  list: unknown,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Ended> {
  const input = typeof list === 'string' ? list : JSON.stringify(list);
  return bridle(args, { cwd, env, input, program: 'pegasus-transfer' });
}

describe('pegasus-transfer with an image of a registry', () => {
  test('keeps it under the name that the list says, without a suffix of its own, and makes the directories', async () => {
    const list = [
      typed(image(), file('deep/er/montage'), 'docker'),
      typed(image(), file('deep/montage.simg'), 'singularity'),
      typed(image(), file('montage.tar.gz'), 'singularity'),
    ];
    expect(await dropIn(list)).toMatchObject({ status: 0, stdout: '' });
    expect(readdirSync(join(cwd, 'deep')).filter((name) => !name.startsWith('.'))).toEqual([
      'er',
      'montage.simg',
    ]);
    expect(isArchive(content('deep/er/montage'))).toBe(true);
    for (const name of ['deep/montage.simg', 'montage.tar.gz']) expect(isSif(content(name))).toBe(true);
    expect(statSync(join(cwd, 'deep/montage.simg')).mode & 0o777).toBe(0o755);
  });

  test('takes any number of slashes before its name, and a list of text, which gives an archive', async () => {
    const name = image().slice('docker://'.length);
    const list = ['docker:///', 'docker:////'].map((beginning, at) => entry(beginning + name, file(`${at}`)));
    expect(await dropIn(list)).toMatchObject({ status: 0 });
    expect(await dropIn(`# src 1 local\n${image()}\n# dst 1 local\n${file('2')}\n`)).toMatchObject({
      status: 0,
    });
    for (const at of ['0', '1', '2']) expect(isArchive(content(at))).toBe(true);
  });

  test('heeds the type of the destination, and not that of the source', async () => {
    const one = entry(image(), file('a'));
    const list = [{ ...one, src_urls: [{ ...one.src_urls[0], type: 'singularity' }] }];
    expect(await dropIn(list)).toMatchObject({ status: 0 });
    expect(isArchive(content('a'))).toBe(true);
  });

  test('makes a copy where the destination is a link or takes files over, as of everything from elsewhere', async () => {
    const list = [
      typed(image(), `symlink://${cwd}/a`, 'docker'),
      typed(image(), `moveto://${cwd}/b`, 'singularity'),
    ];
    expect(await dropIn(list)).toMatchObject({ status: 0 });
    expect([isArchive(content('a')), isSif(content('b'))]).toEqual([true, true]);
  });

  test('records the digest of what it has kept, and compares the one that is listed', async () => {
    const integrity = { KICKSTART_INTEGRITY_DATA: join(cwd, 'integrity') };
    writeFileSync(integrity.KICKSTART_INTEGRITY_DATA, '');
    const more = { lfn: 'b.sif', generate_checksum: true };
    expect(await dropIn([typed(image(), file('a'), 'singularity', more)], [], integrity)).toMatchObject({
      status: 0,
    });
    const [, sha256 = ''] = /"b\.sif":[\s\S]*sha256: ([0-9a-f]{64})/.exec(`${content('integrity')}`) ?? [];
    const listed = (value: string, to: string) =>
      typed(image(), file(to), 'singularity', { checksum: { sha256: value } });
    expect(await dropIn([listed(sha256, 'b')])).toMatchObject({ status: 0 });
    const wrong = await dropIn([listed('0'.repeat(64), 'c')], ['-m', '1']);
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining(sha256)]);
    expect(readdirSync(cwd)).not.toContain('c');
  });

  test('P5 P6 tries one that is not there once, ends with 1, and keeps the others', async () => {
    const list = [
      typed(image().replace('b:1', 'none:1'), file('a'), 'docker'),
      typed(image().replace('b:1', 'UPPER'), file('b'), 'docker'),
      typed(image(), file('c'), 'tape'),
      typed(image(), file('d'), 'docker'),
    ];
    const { status, stderr } = await dropIn(list);
    expect(status).toBe(1);
    for (const told of [
      'there is no `1`',
      'expected a repository in lower case',
      'cannot be had as `tape`',
    ]) {
      expect(stderr.split(told)).toHaveLength(2);
    }
    expect(stderr).not.toContain('attempt 2');
    expect(stderr).toMatch(/ CRITICAL: {2}Some transfers failed! See above, and possibly stderr\.\n$/);
    expect(readdirSync(cwd).filter((name) => name.length === 1)).toEqual(['d']);
  });

  test.each([
    ['docker', 'bridle image push FILE docker://'],
    ['oras', 'bridle image push FILE oras://'],
    ['library', 'cannot be written to'],
  ])('is refused as a destination by %s, with what sends one where something does', async (scheme, told) => {
    const to = image().replace('docker', scheme);
    const { status, stderr } = await dropIn([entry(file('x.sif'), to)]);
    expect([status, stderr]).toEqual([1, expect.stringContaining(told)]);
  });

  test.each([
    ['mkdir', 'cannot make directories'],
    ['remove', 'cannot remove files'],
  ])('is nothing to %s', async (type, told) => {
    const { status, stderr } = await dropIn([{ type, target: { site_label: 'a', url: image() } }]);
    expect([status, stderr]).toEqual([1, expect.stringContaining(told)]);
  });
});

describe('pegasus-transfer with an image that is a file', () => {
  test('copies it as it is, whatever type the destination has', async () => {
    const list = ['docker', 'singularity', 'tape'].map((type) => typed(file('x.sif'), file(type), type));
    expect(await dropIn(list)).toMatchObject({ status: 0 });
    for (const type of ['docker', 'singularity', 'tape']) expect(content(type).equals(SIF)).toBe(true);
  });

  test('links to it where it is asked to, by the destination or by --symlink', async () => {
    expect(await dropIn([typed(file('x.sif'), `symlink://${cwd}/a`, 'singularity')])).toMatchObject({
      status: 0,
    });
    expect(await dropIn([typed(file('x.sif'), file('b'), 'singularity')], ['-s'])).toMatchObject({
      status: 0,
    });
    expect(await dropIn([typed(file('tree'), file('c'), 'singularity')], ['-s'])).toMatchObject({
      status: 0,
    });
    expect(['a', 'b', 'c'].map((name) => readlinkSync(join(cwd, name)))).toEqual(
      ['x.sif', 'x.sif', 'tree'].map((name) => join(cwd, name)),
    );
  });

  test('links to what is not there only where the list says not to look', async () => {
    const absent = (to: string, more = {}) =>
      typed(file('absent'), `symlink://${cwd}/${to}`, 'singularity', more);
    expect(await dropIn([absent('a', { verify_symlink_source: false })])).toMatchObject({ status: 0 });
    expect(readlinkSync(join(cwd, 'a'))).toBe(join(cwd, 'absent'));
    const refused = await dropIn([absent('b')]);
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringContaining('no such file or directory'),
    ]);
  });

  test('L6 does not copy a directory, and says what links to it', async () => {
    const { status, stderr } = await dropIn([typed(file('tree'), file('a'), 'singularity')]);
    expect(status).toBe(1);
    expect(stderr).toContain('the source is a directory');
    expect(stderr).toContain('hint: `--symlink`, or a destination such as `symlink:///path`');
  });
});
