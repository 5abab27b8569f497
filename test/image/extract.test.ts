import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import { type ExtractOptions, extract } from '../../src/image/layers/extract.ts';
import { scratch } from '../commands/run-command.ts';
import { archive, chunked, type Written } from './archives.ts';

const isRoot = process.getuid?.() === 0;

let cwd = '';
const root = () => join(cwd, 'private/rootfs');

beforeEach(() => {
  cwd = scratch();
  fs.mkdirSync(join(cwd, 'outside/dir'), { recursive: true });
  fs.mkdirSync(join(cwd, 'private'));
  fs.writeFileSync(join(cwd, 'outside/file'), 'precious');
  fs.chmodSync(join(cwd, 'outside/file'), 0o600);
});

const unpack = (members: readonly Written[], options: ExtractOptions = {}) =>
  extract(chunked(archive(members), 1000), root(), options);

const refusal = (members: readonly Written[]): Promise<TransferError> =>
  unpack(members).then(
    () => expect.unreachable('the archive was extracted'),
    (error: TransferError) => error,
  );

const file = (name: string, data = name): Written => ({ name, data });
const directory = (name: string, more: Partial<Written> = {}): Written => ({
  name,
  type: 'directory',
  ...more,
});
const symlink = (name: string, link: string): Written => ({ name, type: 'symlink', link });
const hardlink = (name: string, link: string): Written => ({ name, type: 'hardlink', link });

/** Everything about a tree that an extraction could change. */
function state(path: string): string[] {
  return fs
    .readdirSync(path, { recursive: true, encoding: 'latin1' })
    .concat('.')
    .sort()
    .map((name) => {
      const full = Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, 'latin1')]);
      const { mode, uid, gid, ctimeMs, nlink, ino } = fs.lstatSync(full);
      return [
        name,
        mode,
        uid,
        gid,
        ctimeMs,
        nlink,
        ino,
        fs.statSync(full).isFile() ? fs.readFileSync(full, 'latin1') : '',
      ].join(' ');
    });
}

const at = (name: string) => Buffer.concat([Buffer.from(`${root()}/`), Buffer.from(name, 'latin1')]);
const text = (name: string) => fs.readFileSync(at(name), 'latin1');
const modeOf = (name: string) => fs.lstatSync(at(name)).mode & 0o7777;

describe('an archive', () => {
  test('lies in the directory, with contents, links, modes and times', async () => {
    const { members, bytes, notes } = await unpack([
      directory('./', { mode: 0o711, modified: 7 }),
      directory('closed/', { mode: 0o755, modified: 1000 }),
      { ...file('closed/run', 'x'.repeat(200_000)), mode: 0o751, modified: 1_500_000_000.25 },
      { ...file('implied/below/a'), mode: 0o444 },
      symlink('abs', '/etc/passwd'),
      hardlink('other', 'closed/run'),
      file("\xe9\xff '\n", 'no UTF-8'),
      { name: 'pipe', type: 'fifo', mode: 0o620 },
    ]);
    expect({ members, bytes, notes }).toEqual({ members: 8, bytes: 200_023, notes: [] });
    expect(text('closed/run')).toBe('x'.repeat(200_000));
    expect(text("\xe9\xff '\n")).toBe('no UTF-8');
    expect(fs.readlinkSync(at('abs'))).toBe('/etc/passwd');
    expect(fs.statSync(at('other')).ino).toBe(fs.statSync(at('closed/run')).ino);
    expect(fs.lstatSync(at('pipe')).isFIFO()).toBe(true);
    expect(['.', 'closed', 'closed/run', 'implied', 'pipe'].map(modeOf)).toEqual([
      0o711, 0o755, 0o751, 0o755, 0o620,
    ]);
    expect(fs.statSync(at('closed/run')).mtimeMs).toBe(1_500_000_000_250);
    expect(fs.statSync(at('closed')).mtimeMs).toBe(1_000_000);
    expect(fs.statSync(root()).mtimeMs).toBe(7000);
  });

  test('has holes where it had them', async () => {
    const extents = [
      { offset: 4096, length: 512 },
      { offset: 90_000_000, length: 3 },
    ];
    await unpack([{ name: 'sparse', size: 100_000_000, extents, data: `${'x'.repeat(512)}end` }]);
    const stat = fs.statSync(at('sparse'));
    expect([stat.size, stat.blocks < 10_000]).toEqual([100_000_000, true]);
    const bytes = fs.readFileSync(at('sparse'));
    expect([bytes.indexOf('x'), bytes.indexOf('end'), bytes.indexOf('\0', 4096)]).toEqual([
      4096, 90_000_000, 4608,
    ]);
  });

  test('in which a name comes again has the last one', async () => {
    await unpack([
      file('a/b', 'old'),
      file('a'),
      directory('d/', { mode: 0o700 }),
      file('d/kept'),
      directory('d/', { mode: 0o750 }),
      file('f', '1'),
      symlink('f', 'd'),
      file('f', '2'),
      symlink('l', 'd'),
      directory('l/'),
      file('l/own'),
    ]);
    expect([text('a'), text('d/kept'), text('f'), text('l/own'), modeOf('d')]).toEqual([
      'a',
      'd/kept',
      '2',
      'l/own',
      0o750,
    ]);
    expect(fs.readdirSync(at('d'))).toEqual(['kept']);
  });

  test('with an owner that no file can have is refused where owners count', async () => {
    const bad = [{ ...file('a'), uid: 2 ** 32 - 1 }];
    await expect(unpack(bad, { owners: true })).rejects.toThrow('`a` has an owner that no file can have');
    await unpack(bad, { owners: false });
  });

  test('may put a hard link in the place of the directory that its file lies in', async () => {
    await unpack([
      file('.linked'),
      file('d/f', 'kept'),
      file('d/g'),
      hardlink('d', 'd/f'),
      hardlink('e', 'd'),
    ]);
    expect([text('d'), text('.linked'), fs.statSync(at('d')).nlink]).toEqual(['kept', '.linked', 2]);
    expect(fs.readdirSync(root()).sort()).toEqual(['.linked', 'd', 'e']);
  });

  test('replaces an empty directory and none with members', async () => {
    fs.mkdirSync(root());
    await unpack([file('a')]);
    expect(await refusal([file('b')])).toMatchObject({ code: 'already-exists' });
    expect(fs.readdirSync(root())).toEqual(['a']);
    expect(fs.readdirSync(join(cwd, 'private'))).toEqual(['rootfs']);
  });

  test('that is broken or canceled leaves nothing', async () => {
    const bytes = archive([directory('d/', { mode: 0o500 }), file('d/a', 'x'.repeat(5000))]);
    await expect(extract(chunked(bytes.subarray(0, 4000)), root())).rejects.toMatchObject({
      code: 'invalid-request',
    });
    const signal = AbortSignal.abort();
    await expect(unpack([file('a')], { signal })).rejects.toMatchObject({ code: 'canceled' });
    expect(fs.readdirSync(join(cwd, 'private'))).toEqual([]);
  });
});

describe('S7 nothing outside of the directory is touched', () => {
  const up = '../../outside';

  test.each<[string, Written[], string]>([
    ['a name with ..', [file(`${up}/new`)], 'leads out of its directory'],
    ['a name with .. inside', [directory('a/'), file(`a/../${up}/new`)], 'leads out of its directory'],
    ['a hard link out', [hardlink('x', `${up}/file`)], 'leads out of its directory'],
    ['a hard link to an absolute name', [hardlink('x', '/etc/passwd')], 'is a link to what is no file'],
    [
      'a hard link through a link',
      [symlink('l', up), hardlink('x', 'l/file')],
      'is a link to what is no file',
    ],
    ['a hard link to a directory', [directory('d/'), hardlink('x', 'd')], 'is a link to what is no file'],
    ['a file in the place of the root', [file('.')], 'is the root and no directory'],
  ])('by %s, which is refused', async (_, members, message) => {
    const before = state(join(cwd, 'outside'));
    expect(await refusal(members)).toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(message),
    });
    expect(state(join(cwd, 'outside'))).toEqual(before);
    expect(fs.readdirSync(join(cwd, 'private'))).toEqual([]);
  });

  test.each<[string, (out: string) => Written[]]>([
    ['a file below a link', (out) => [symlink('l', out), file('l/new')]],
    ['a file in the place of a link', (out) => [symlink('l', `${out}/file`), file('l', 'other')]],
    [
      'a directory below a link',
      (out) => [symlink('l', out), directory('l/dir/', { mode: 0o777 }), directory('l/new/')],
    ],
    ['a link below a link', (out) => [symlink('l', out), symlink('l/x', 'y'), symlink('l/dir', 'y')]],
    [
      'a directory in the place of a link',
      (out) => [symlink('l', `${out}/dir`), directory('l/', { mode: 0o777 })],
    ],
    [
      'a link of links',
      (out) => [symlink('a', out), symlink('b', 'a'), symlink('c/d', '../b'), file('c/d/file', 'x')],
    ],
    [
      'a hard link to a link',
      (out) => [symlink('l', `${out}/file`), hardlink('x', 'l'), { ...file('x', 'other'), mode: 0o777 }],
    ],
    ['a pipe below a link', (out) => [symlink('l', out), { name: 'l/pipe', type: 'fifo' }]],
    [
      'modes and owners of a link',
      (out) => [{ ...symlink('l', `${out}/file`), mode: 0o777, uid: 1, gid: 1, modified: 5 }],
    ],
    ['an absolute name', (out) => [file(`${out}/new`), file(`${out}/file`, 'other')]],
  ])('by %s, which stays inside', async (_, members) => {
    const before = state(join(cwd, 'outside'));
    for (const out of [up, join(cwd, 'outside'), `../../../..${join(cwd, 'outside')}`]) {
      const safe = members(out).filter(({ name }) => !name.includes('..'));
      await unpack(safe);
      expect(state(join(cwd, 'outside')), out).toEqual(before);
      fs.rmSync(root(), { recursive: true });
    }
  });

  test('by whatever members there are', async () => {
    const before = state(join(cwd, 'outside'));
    const part = fc.constantFrom('a', 'b', '..', '.', 'outside', 'file', 'dir', '');
    const path = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/') || '/');
    const member: fc.Arbitrary<Written> = fc.record({
      name: path,
      link: path,
      type: fc.constantFrom('file', 'directory', 'symlink', 'hardlink', 'symlink', 'fifo'),
      mode: fc.constant(0o777),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(member, { minLength: 1, maxLength: 8 }), async (members) => {
        const outcome = await unpack(members).catch((error: TransferError) => error.code);
        if (typeof outcome === 'string') expect(outcome).toBe('invalid-request');
        expect(state(join(cwd, 'outside'))).toEqual(before);
        fs.rmSync(root(), { recursive: true, force: true });
        expect(fs.readdirSync(join(cwd, 'private'))).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });
});

describe('S6 power that members lend', () => {
  const xattrs = new Map([
    ['security.capability', '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0'],
    ['security.selinux', 'x'],
    ['trusted.overlay.opaque', 'y'],
  ]);
  const members: readonly Written[] = [
    { ...file('su'), mode: 0o4755 },
    { ...file('ping'), mode: 0o755, xattrs },
    directory('group/', { mode: 0o2775 }),
    { name: 'null', type: 'character', major: 1, minor: 3, mode: 0o666 },
    hardlink('zero', 'null'),
  ];

  test('is taken away unless it was asked for', async () => {
    const { notes } = await unpack(members);
    expect(notes).toEqual([
      'setuid bits not taken over: 1, the first `su`',
      'attributes `security.capability` not taken over: 1, the first `ping`',
      'attributes `security.selinux` not taken over: 1, the first `ping`',
      'attributes `trusted.overlay.opaque` not taken over: 1, the first `ping`',
      'devices left out: 1, the first `null`',
    ]);
    expect(['su', 'group'].map(modeOf)).toEqual([0o755, 0o2775]);
    expect(fs.readdirSync(root()).sort()).toEqual(['group', 'ping', 'su']);
  });

  test('is kept where it was asked for, by root with owners and devices', async () => {
    const owned = members.map((one) => ({ ...one, uid: 1234, gid: 5678 }));
    const { notes } = await unpack(owned, { setuid: true, devices: true });
    expect(['su', 'group'].map(modeOf)).toEqual([0o4755, 0o2775]);
    const refused = notes.filter((note) => /capability|devices/.test(note));
    if (!isRoot) return expect(refused).toHaveLength(2);
    expect(refused).toEqual([]);
    const device = fs.lstatSync(at('zero'));
    expect([device.isCharacterDevice(), device.rdev, device.mode & 0o777]).toEqual([true, 0x103, 0o666]);
    for (const name of ['su', 'null']) expect(fs.lstatSync(at(name))).toMatchObject({ uid: 1234, gid: 5678 });
  });
});

describe('without privileges', () => {
  afterEach(() => {
    if (isRoot) process.seteuid?.(0);
  });

  test("everything is the caller's, who can remove it", async () => {
    fs.chownSync(join(cwd, 'private'), isRoot ? 65_534 : -1, -1);
    fs.chmodSync(cwd, 0o755);
    if (isRoot) process.seteuid?.(65_534);
    const own = process.geteuid?.();
    await unpack([
      directory('closed/', { mode: 0, uid: 0 }),
      { ...file('closed/secret'), mode: 0, uid: 5 },
      { ...symlink('l', 'closed'), uid: 5 },
    ]);
    expect(['closed', 'closed/secret'].map(modeOf)).toEqual([0o700, 0o600]);
    for (const name of ['closed', 'closed/secret', 'l']) expect(fs.lstatSync(at(name)).uid).toBe(own);
    fs.rmSync(root(), { recursive: true });
    expect(fs.readdirSync(join(cwd, 'private'))).toEqual([]);
  });
});
