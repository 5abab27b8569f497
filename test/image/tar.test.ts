import { spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import type { MemberType } from '../../src/image/tar/member.ts';
import { readTar } from '../../src/image/tar/read.ts';
import { END_OF_ARCHIVE, memberHeader } from '../../src/image/tar/write.ts';
import { giveBack, takeSlab } from '../../src/slabs.ts';
import { scratch } from '../commands/run-command.ts';
import { archive, chunked, joined, readAll, textOf, type Written } from './archives.ts';

const LONG = `${'d'.repeat(120)}/${'e'.repeat(120)}/${'f'.repeat(60)}`;
const FORMATS = ['v7', 'oldgnu', 'gnu', 'ustar', 'pax'] as const;

let cwd = '';

beforeEach(() => {
  cwd = scratch();
});

function tar(args: readonly string[], input?: Uint8Array): Buffer {
  const { stdout, stderr, status } = spawnSync('tar', args, {
    cwd,
    input,
    maxBuffer: 2 ** 28,
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status !== 0) throw new Error(`tar ${args.join(' ')}: ${stderr.toString()}`);
  return stdout;
}

const refusal = (bytes: Uint8Array, isProven = false): Promise<TransferError> =>
  readAll(bytes, { isProven }).then(
    () => expect.unreachable('the archive was read'),
    (error: TransferError) => error,
  );

/** The same header with other bytes in it, and the right checksum again. */
function changed(header: Uint8Array, change: (block: Buffer) => void): Buffer {
  const block = Buffer.from(header);
  change(block);
  block.fill(' ', 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

describe('archives of GNU tar', () => {
  test.each(FORMATS)('are read to the byte in the format %s', async (format) => {
    mkdirSync(join(cwd, 'in/dir'), { recursive: true });
    writeFileSync(join(cwd, 'in/dir/file'), 'content');
    writeFileSync(join(cwd, 'in/empty'), '');
    writeFileSync(Buffer.from(`${join(cwd, 'in')}/\xe9 \n'`, 'latin1'), 'x'.repeat(1000));
    linkSync(join(cwd, 'in/dir/file'), join(cwd, 'in/other'));
    symlinkSync('../else where', join(cwd, 'in/symbolic'));
    spawnSync('mkfifo', [join(cwd, 'in/fifo')]);
    utimesSync(join(cwd, 'in/empty'), 1_700_000_000, 1_700_000_000);
    if (format !== 'v7') spawnSync('mknod', [join(cwd, 'in/null'), 'c', '1', '3']);
    if (format !== 'v7' && format !== 'ustar') {
      mkdirSync(join(cwd, 'in', LONG, '..'), { recursive: true });
      writeFileSync(join(cwd, 'in', LONG), 'far');
      symlinkSync(LONG, join(cwd, 'in/long'));
    }
    const bytes = tar([
      `--format=${format}`,
      '--sort=name',
      '-cf',
      '-',
      ...(format === 'v7' ? ['--exclude=fifo'] : []),
      'in',
    ]);
    const members = await readAll(chunked(bytes, 7, 4096, 511));
    const listed = tar(['--quoting-style=literal', '-tf', '-'], bytes).toString('latin1');
    expect(`${members.map(({ name }) => name).join('\n')}\n`).toBe(listed);
    const by = new Map(members.map((member) => [member.name, member]));
    expect(by.get('in/dir/')).toMatchObject({ type: 'directory', size: 0 });
    expect(by.get('in/dir/file')).toMatchObject({ type: 'file', size: 7, data: 'content' });
    expect(by.get('in/empty')).toMatchObject({ size: 0, data: '', modified: 1_700_000_000 });
    expect(by.get("in/\xe9 \n'")).toMatchObject({ data: 'x'.repeat(1000) });
    expect(by.get('in/other')).toMatchObject({ type: 'hardlink', link: 'in/dir/file', data: '' });
    expect(by.get('in/symbolic')).toMatchObject({ type: 'symlink', link: '../else where' });
    if (format === 'v7') return;
    expect(by.get('in/fifo')).toMatchObject({ type: 'fifo' });
    expect(by.get('in/null')).toMatchObject({ type: 'character', major: 1, minor: 3 });
    if (format === 'ustar') return;
    expect(by.get(`in/${LONG}`)).toMatchObject({ data: 'far' });
    expect(by.get('in/long')).toMatchObject({ link: LONG });
  });

  test.each([
    ['gnu', []],
    ['pax', ['--sparse-version=0.0']],
    ['pax', ['--sparse-version=0.1']],
    ['pax', ['--sparse-version=1.0']],
  ] as const)('with sparse files are read in the format %s %j', async (format, options) => {
    const name = `${'s'.repeat(90)}/sparse`;
    mkdirSync(join(cwd, 's'.repeat(90)));
    const fd = openSync(join(cwd, name), 'w');
    for (let at = 0; at < 40; at += 1) writeSync(fd, `piece ${at}`, at * 65_536);
    ftruncateSync(fd, 3_000_001);
    closeSync(fd);
    writeFileSync(join(cwd, 'behind'), 'still here');
    const bytes = tar([`--format=${format}`, ...options, '--sparse', '-cf', '-', name, 'behind']);
    expect(bytes.length).toBeLessThan(1_000_000);
    const [sparse, behind] = await readAll(chunked(bytes, 1000));
    expect(sparse).toMatchObject({ name, size: 3_000_001 });
    expect(sparse?.extents?.length).toBeGreaterThan(39);
    expect(sparse?.data === readFileSync(join(cwd, name), 'latin1')).toBe(true);
    expect(behind).toMatchObject({ name: 'behind', data: 'still here' });
  });

  test('with numbers in base 256 and with extended headers are read', async () => {
    writeFileSync(join(cwd, 'file'), 'x');
    const far = ['--owner=:2097152', '--group=:4294967294', '--mtime=@-7', '-cf', '-', 'file'];
    const expected = { uid: 2_097_152, gid: 4_294_967_294, modified: -7, data: 'x' };
    expect(await readAll(tar(['--format=gnu', ...far]))).toMatchObject([expected]);
    expect(await readAll(tar(['--format=pax', ...far]))).toMatchObject([expected]);
    const records = '--pax-option=comment:=none,mtime:=1.5,SCHILY.xattr.user.a:=b=c';
    const [member] = await readAll(tar(['--format=pax', records, '-cf', '-', 'file']));
    expect(member).toMatchObject({ modified: 1.5 });
    expect([...(member?.xattrs ?? [])]).toEqual([['user.a', 'b=c']]);
    const globals = '--pax-option=uid=77,globexthdr.name=g';
    expect(await readAll(tar(['--format=pax', globals, '-cf', '-', 'file']))).toMatchObject([{ uid: 77 }]);
  });

  test('that are split at a million places are one and the same', async () => {
    writeFileSync(join(cwd, 'file'), 'some bytes');
    const bytes = tar(['--format=pax', '-cf', '-', 'file', 'file']);
    const whole = await readAll(bytes);
    expect(await readAll(chunked(bytes, 1))).toEqual(whole);
  });
});

describe('what we write', () => {
  const members: readonly Written[] = [
    { name: 'dir', type: 'directory', mode: 0o2750 },
    { name: 'dir/file', data: 'content', modified: 1_700_000_000, uid: 12, gid: 34, mode: 0o4755 },
    { name: 'dir/again', type: 'hardlink', link: 'dir/file' },
    { name: LONG, data: 'far', modified: 1.25 },
    { name: `${'n'.repeat(150)}/${'m'.repeat(100)}`, data: 'fits ustar' },
    { name: 'long', type: 'symlink', link: LONG },
    { name: "\xe9 \n'", data: 'no UTF-8' },
    { name: `\xe9${'x'.repeat(200)}`, data: 'no UTF-8 either' },
    { name: 'fifo', type: 'fifo' },
    { name: 'sda', type: 'block', major: 8, minor: 1 },
    { name: 'old', data: '1', modified: -3, uid: 2 ** 32 - 1 },
    {
      name: 'holes',
      size: 100_000,
      data: `${'a'.repeat(512)}b`,
      extents: [
        { offset: 1024, length: 512 },
        { offset: 70_000, length: 1 },
      ],
    },
  ];

  test('is listed and unpacked by GNU tar', () => {
    const bytes = archive(members);
    const listed = tar(['--quoting-style=literal', '-tf', '-'], bytes).toString('latin1');
    const names = members.map(({ name }) => (name === 'dir' ? 'dir/' : name));
    expect(listed).toBe(`${names.join('\n')}\n`);
    tar(['-xf', '-', '--no-same-owner', 'dir', LONG, 'long', 'holes'], bytes);
    expect(readFileSync(join(cwd, 'dir/again'), 'utf8')).toBe('content');
    expect(readFileSync(join(cwd, LONG), 'utf8')).toBe('far');
    const holes = Buffer.alloc(100_000);
    holes.fill('a', 1024, 1536);
    holes.write('b', 70_000);
    expect(readFileSync(join(cwd, 'holes')).equals(holes)).toBe(true);
    const verbose = tar(['-tvf', '-', '--numeric-owner', '--utc'], bytes).toString();
    expect(verbose).toMatch(/-rwsr-xr-x 12\/34 +7 2023-11-14 22:13 dir\/file/);
    expect(verbose).toMatch(/brw-r--r-- 0\/0 +8,1 1970-01-01 00:00 sda/);
    expect(verbose).toMatch(/4294967295\/0 .* 1969-12-31 23:59 old/);
  });

  test('is read by us as it was', async () => {
    const read = await readAll(archive(members));
    expect(read).toMatchObject(
      members.map(({ data: _, ...member }) => ({
        ...member,
        name: member.name === 'dir' ? 'dir/' : member.name,
      })),
    );
  });

  test('has attributes, sizes from 8 GiB and nothing of this machine', async () => {
    const xattrs = new Map([
      ['user.b', '\0\xff='],
      ['security.capability', '\x01\0\0\x02'],
    ]);
    const [member] = await readAll(archive([{ name: 'ping', xattrs }]));
    expect([...(member?.xattrs ?? [])]).toEqual([...xattrs].sort());
    const large = memberHeader({ name: 'large', size: 2 ** 33 });
    expect(large.length).toBe(3 * 512);
    for await (const { name, size } of readTar(chunked(large), { isProven: true })) {
      expect({ name, size }).toEqual({ name: 'large', size: 2 ** 33 });
      break;
    }
    expect(memberHeader({ name: 'large', size: 2 ** 33 - 1 }).length).toBe(512);
    expect(memberHeader({ name: 'a' })).toEqual(memberHeader({ name: 'a' }));
  });

  test.each(['', 'a\0b'])('has no member by the name %j', (name) => {
    expect(() => memberHeader({ name })).toThrow('writing the archive: a name that no archive can hold');
  });
});

describe('S7 an archive that is broken', () => {
  test('is refused wherever it is cut', async () => {
    const bytes = archive(
      [
        { name: LONG, data: 'x'.repeat(700) },
        { name: 'b', data: 'y' },
      ],
      new Uint8Array(0),
    );
    for (let end = 0; end <= bytes.length; end += 1) {
      expect(await refusal(bytes.subarray(0, end)), `cut at ${end}`).toMatchObject({
        code: 'invalid-request',
      });
    }
  });

  test('may lack its end where a digest proves that it is whole', async () => {
    expect(await readAll(archive([{ name: 'a' }], new Uint8Array(0)), { isProven: true })).toHaveLength(1);
    expect(await readAll(archive([{ name: 'a' }], new Uint8Array(512)))).toHaveLength(1);
    expect(await readAll(archive([{ name: 'a' }], new Uint8Array(20_480)))).toHaveLength(1);
    expect(await readAll(new Uint8Array(0), { isProven: true })).toEqual([]);
  });

  test('is refused with a flipped bit in a header, and read where the sum is of signed bytes', async () => {
    const header = Buffer.from(memberHeader({ name: '\xe9' }));
    const flipped = Buffer.from(header);
    flipped[3] = 1;
    expect((await refusal(Buffer.concat([flipped, END_OF_ARCHIVE]))).message).toBe(
      'reading the archive: it has a header with a wrong checksum',
    );
    const sum = Number.parseInt(header.toString('latin1', 148, 154), 8) - 256;
    header.write(sum.toString(8).padStart(6, '0'), 148);
    expect(await readAll(Buffer.concat([header, END_OF_ARCHIVE]))).toMatchObject([{ name: '\xe9' }]);
  });

  test.each<[string, (block: Buffer) => void, string]>([
    [
      'a size that is no number',
      (block) => block.write('0000000009x\0', 124),
      'a header whose size is no number',
    ],
    ['a negative size', (block) => block.fill(0xff, 124, 136), 'a member with a negative size'],
    ['a size beyond 2^53', (block) => block.fill(0x80, 124, 136), 'a header whose size is out of range'],
    ['an unknown type', (block) => block.write('Z', 156), 'a member of the unknown type "Z"'],
    ['no name', (block) => block.fill(0, 0, 100), 'a member whose name is empty'],
    ['a link to nothing', (block) => block.write('1', 156), 'a member whose link is empty'],
  ])('is refused with %s', async (_, change, message) => {
    const bytes = Buffer.concat([changed(memberHeader({ name: 'a' }), change), END_OF_ARCHIVE]);
    expect((await refusal(bytes)).message).toContain(message);
  });

  test.each([
    ['no length', 'path=a\n'],
    ['a length beyond its end', '99 path=a\n'],
    ['a length of no use', '0 path=a\n'],
    ['no keyword', '5 =a\n'],
    ['no newline', '10 path=abc'],
    ['a cut name', '12 path=a\0b\n'],
    ['a size that is none', '11 size=-1\n'],
    ['a time that is none', '13 mtime=now\n'],
  ])('is refused with an extended header that has %s', async (_, records) => {
    const header = changed(memberHeader({ name: 'x', size: records.length }), (block) =>
      block.write('x', 156),
    );
    const body = Buffer.alloc(512);
    body.write(records, 'latin1');
    const bytes = Buffer.concat([header, body, memberHeader({ name: 'a' }), END_OF_ARCHIVE]);
    expect(await refusal(bytes)).toMatchObject({ code: 'invalid-request' });
  });

  test('P11 is refused with headers above a mebibyte, before they are in memory', async () => {
    const bomb = (type: string) =>
      changed(memberHeader({ name: 'x', size: 2 ** 30 }), (block) => block.write(type, 156));
    for (const type of 'xgLK') {
      expect((await refusal(bomb(type))).message).toContain('more than 1048576 bytes of headers');
    }
    const half = changed(memberHeader({ name: 'x', size: 600_064 }), (block) => block.write('L', 156));
    const twice = Buffer.concat([half, Buffer.alloc(600_064, 'a'), half]);
    expect((await refusal(twice)).message).toContain('more than 1048576 bytes of headers');
  });

  test('is refused when the map of a sparse file contradicts itself', async () => {
    const sparse = (size: number, ...extents: readonly [offset: number, length: number][]) =>
      refusal(
        archive([
          {
            name: 'a',
            size,
            extents: extents.map(([offset, length]) => ({ offset, length })),
            data: 'x'.repeat(1024),
          },
        ]),
      );
    expect((await sparse(10, [5, 5], [4, 1])).message).toContain('contradicts itself');
    expect((await sparse(10, [5, 6])).message).toContain('contradicts itself');
  });

  test('ends in an error or in members, whatever it is, and never hangs', async () => {
    const valid = archive([
      { name: LONG, data: 'x'.repeat(600), modified: 1.5, xattrs: new Map([['user.a', 'b']]) },
      {
        name: 'holes',
        size: 5000,
        data: 'ab',
        extents: [
          { offset: 5, length: 1 },
          { offset: 4000, length: 1 },
        ],
      },
    ]);
    const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(flips, fc.integer({ min: 1, max: 1500 }), async (changes, size) => {
        const bytes = Buffer.from(valid);
        for (const [at, byte] of changes) bytes[at] = byte;
        const outcome = await readAll(chunked(bytes, size)).catch((error: TransferError) => error.code);
        expect(Array.isArray(outcome) || outcome === 'invalid-request' || outcome === 'unsupported').toBe(
          true,
        );
      }),
      { numRuns: 500 },
    );
  });
});

test('a file whose name makes it a directory has no body, and what is behind it is found', async () => {
  const read = await readAll(
    archive([
      { name: 'old/', data: 'x'.repeat(600) },
      { name: 'next', data: 'here' },
    ]),
  );
  expect(read.map(({ name, type, size, data }) => ({ name, type, size, data }))).toEqual([
    { name: 'old/', type: 'directory', size: 0, data: '' },
    { name: 'next', type: 'file', size: 4, data: 'here' },
  ]);
});

test('whatever we write we read, split anywhere', async () => {
  const bytes = fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 300,
  });
  const type = fc.constantFrom<MemberType>(
    'file',
    'hardlink',
    'symlink',
    'character',
    'block',
    'directory',
    'fifo',
  );
  const member = fc.record({
    name: bytes,
    type,
    link: bytes,
    mode: fc.nat(0o7777),
    uid: fc.nat(2 ** 32 - 1),
    gid: fc.nat(2 ** 32 - 1),
    modified: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    major: fc.nat(4095),
    minor: fc.nat(2 ** 20),
    data: fc.string({ unit: 'binary-ascii', maxLength: 1500 }),
    xattrs: fc
      .dictionary(fc.stringMatching(/^user\.[a-z]{1,5}$/), bytes)
      .map((all) => new Map(Object.entries(all))),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(member, { maxLength: 6 }),
      fc.integer({ min: 1, max: 3000 }),
      async (all, size) => {
        const written = all.map((one) => ({ ...one, data: one.type === 'file' ? one.data : '' }));
        const read = await readAll(chunked(archive(written), size));
        expect(read.map(({ xattrs, ...one }) => ({ ...one, xattrs: [...xattrs] }))).toEqual(
          written.map(({ xattrs, ...one }) => {
            const isDirectory = one.type === 'directory' || (one.type === 'file' && one.name.endsWith('/'));
            const hasDevice = one.type === 'character' || one.type === 'block';
            return {
              ...one,
              name: one.type === 'directory' && !one.name.endsWith('/') ? `${one.name}/` : one.name,
              type: isDirectory ? 'directory' : one.type,
              link: one.type === 'hardlink' || one.type === 'symlink' ? one.link : '',
              size: isDirectory ? 0 : one.data.length,
              data: isDirectory ? '' : one.data,
              major: hasDevice ? one.major : 0,
              minor: hasDevice ? one.minor : 0,
              xattrs: [...xattrs].sort(([one], [other]) => (one < other ? -1 : 1)),
            };
          }),
        );
      },
    ),
    { numRuns: 200 },
  );
});

describe('bodies', () => {
  const two = archive([
    { name: 'a', data: 'first'.repeat(300) },
    { name: 'b', data: 'second' },
  ]);

  test('that nobody reads, or only begins, are skipped', async () => {
    const seen: string[] = [];
    for await (const { name, body } of readTar(chunked(two, 100))) {
      seen.push(name);
      for await (const _ of body) break;
    }
    expect(seen).toEqual(['a', 'b']);
  });

  test('that are read too late reject', async () => {
    const members = readTar(chunked(two, 100));
    const first = (await members.next()).value;
    await members.next();
    await expect(textOf(first?.body)).rejects.toThrow('a body was asked for too late');
  });

  test('P11 are passed on without a copy, and stay what they are when they are given back', async () => {
    const slab = takeSlab();
    slab.set(two);
    const kept: Uint8Array[] = [];
    for await (const { body } of readTar(chunked(slab.subarray(0, two.length)))) {
      for await (const piece of body) {
        expect(piece.buffer).toBe(slab.buffer);
        giveBack(piece);
        expect(takeSlab().buffer).not.toBe(slab.buffer);
        kept.push(piece);
      }
    }
    expect(Buffer.concat(kept).toString()).toBe(`${'first'.repeat(300)}second`);
  });

  test('are released with the archive when the reader leaves', async () => {
    let released = 0;
    async function* source() {
      try {
        yield two;
      } finally {
        released += 1;
      }
    }
    for await (const _ of readTar(source())) break;
    expect(released).toBe(1);
    expect(await joined(chunked(two, 9))).toEqual(two);
  });
});
