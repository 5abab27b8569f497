import { describe, expect, test } from 'vitest';
import { A, B, inShort, MD5, read, SHA512, sha256, write } from './reading.ts';

const one = async (line: string) => inShort(await read('sums', `${line}\n`));

describe('lines of digests and names', () => {
  test('the algorithm is told by the number of digits', async () => {
    const text = `${MD5}  a\n${'1'.repeat(40)} *b\n${A}  c\n${SHA512}  d\n`;
    expect(inShort(await read('sums', text))).toEqual({
      files: [`a: md5 ${MD5}`, `b: sha1 ${'1'.repeat(40)}`, `c: sha256 ${A}`, `d: sha512 ${SHA512}`],
      problems: [],
    });
  });

  test('the algorithm that was said is the one that is read', async () => {
    expect(inShort(await read('sums', `${A}  a\n`, 'blake3')).files).toEqual([`a: blake3 ${A}`]);
    expect(inShort(await read('sums', '0000abcd  a\n', 'crc32c')).files).toEqual(['a: crc32c 0000abcd']);
    expect(inShort(await read('sums', `${MD5}  a\n`, 'sha256')).problems).toEqual([
      `line 1: expected 64 hexadecimal digits for sha256, got 32: \`${MD5}\``,
    ]);
  });

  test('upper case is fine, as are comments and blank lines', async () => {
    const text = `# made by hand\n\n${A.toUpperCase()}  a\n \t\n`;
    expect(inShort(await read('sums', text))).toEqual({ files: [`a: sha256 ${A}`], problems: [] });
  });

  test("one space before every name is BSD's reversed order, and names keep what follows", async () => {
    expect(inShort(await read('sums', `${A} a\n${B} b c\n`)).files).toEqual([
      `a: sha256 ${A}`,
      `b c: sha256 ${B}`,
    ]);
  });

  test('B1 one space here and two there is a problem, not a guess at the name', async () => {
    expect(inShort(await read('sums', `${A}  a\n${B} b\n`))).toEqual({
      files: [`a: sha256 ${A}`],
      problems: [`line 2: expected two spaces before the name, as above: \`${B} b\``],
    });
    expect(inShort(await read('sums', `${A} a\n${B}  b\n`)).files).toEqual([`a: sha256 ${A}`]);
  });

  test('only a line that begins with a backslash is unescaped', async () => {
    expect((await one(`\\${A}  a\\\\b\\nc\\r`)).files).toEqual([`a\\b\nc\r: sha256 ${A}`]);
    expect((await one(`${A}  a\\nb`)).files).toEqual([`a\\nb: sha256 ${A}`]);
  });

  test.each(['a\\tb', 'a\\', '\\x'])('B1 the escape in `%s` is none', async (name) => {
    expect((await one(`\\${A}  ${name}`)).problems[0]).toContain(
      'line 1: expected \\\\, \\n and \\r as escapes',
    );
  });

  test('a digest alone is of the file that the name of the list says', async () => {
    const { readManifest } = await import('../../../src/integrity/manifests/formats.ts');
    const found = await readManifest(Buffer.from(`${A}\n`), { fileName: '/x/disk.iso.sha256' });
    expect(inShort(found)).toEqual({ files: [`disk.iso: sha256 ${A}`], problems: [] });
  });

  test.each([
    ['', `${A.slice(1)}  a`, 'expected 32, 40, 64 or 128 hexadecimal digits, got 63'],
    ['another letter', `${A.slice(1)}g  a`, 'expected 64 hexadecimal digits for sha256, got `g`'],
    ['base64', `${Buffer.from(A, 'hex').toString('base64')}  a`, 'expected hexadecimal digits, got base64'],
    ['sha224', `${'a'.repeat(56)}  a`, 'what looks like sha224'],
    ['many algorithms', 'aaaaaaaa  a', '8 digits may be crc32, crc32c, adler32'],
    ['no name', A, 'expected `DIGEST  NAME`'],
    ['an empty name', `${A}  `, 'the name is empty'],
    ['no digest', 'name', 'expected `DIGEST  NAME`'],
    ['a tag of another algorithm', `SHA224 (x) = ${'a'.repeat(56)}`, 'got `SHA224`'],
  ])('B1 a line is told, and the rest stands: %s', async (_, line, problem) => {
    const { files, problems } = inShort(await read('sums', `${B}  before\n${line}\n${B}  after\n`));
    expect(files).toEqual([`before: sha256 ${B}`, `after: sha256 ${B}`]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`line 2: `);
    expect(problems[0]).toContain(problem);
  });
});

describe('what is no text', () => {
  test('B1 UTF-16 is refused by name', async () => {
    for (const bytes of [Buffer.from(`\ufeff${A}  a\n`, 'utf16le'), Buffer.from(`${A}  a\n`, 'utf16le')]) {
      await expect(read('sums', bytes)).rejects.toThrow('expected UTF-8, got UTF-16');
    }
  });

  test('B1 a name that is no UTF-8 is told and never altered', async () => {
    const bytes = Buffer.from(`${A}  caf\xe9\n${B}  b\n`, 'latin1');
    expect(inShort(await read('sums', bytes))).toEqual({
      files: [`b: sha256 ${B}`],
      problems: [expect.stringContaining('line 1: not UTF-8, and names are never altered')],
    });
  });

  test('B1 a NUL, and a line without an end in sight, are told', async () => {
    const text = `${A}  a\0b\n${A}  ${'n'.repeat(70_000)}\n${B}  b\n`;
    expect(inShort(await read('sums', text))).toEqual({
      files: [`b: sha256 ${B}`],
      problems: [expect.stringContaining('line 1: holds a NUL'), 'line 2: longer than 65536 bytes'],
    });
  });
});

describe('a list that was cut', () => {
  const whole = `${A}  one\n${B}  two\n\\${A}  th\\nree\n`;

  test.each(['sums', 'bagit'] as const)(
    'P1 of %s says nothing that the whole one does not say',
    async (format) => {
      const { files } = inShort(await read(format, whole, 'sha256'));
      for (let length = `${A}  one\n`.length; length < whole.length; length++) {
        const cut = inShort(await read(format, whole.slice(0, length), 'sha256'));
        expect(files).toEqual(expect.arrayContaining(cut.files));
      }
    },
  );

  test('a lone line needs no end: people write such files by hand', async () => {
    expect(inShort(await read('sums', `${A}  one`))).toEqual({ files: [`one: sha256 ${A}`], problems: [] });
  });
});

describe('writing', () => {
  const entry = { name: 'a', digests: [sha256(A), { algorithm: 'md5', value: MD5 } as const] };

  test('every digest has a line, or the one that was asked for', () => {
    expect(write('sums', [entry])).toBe(`${A}  a\n${MD5}  a\n`);
    expect(write('sums', [entry], { algorithm: 'md5' })).toBe(`${MD5}  a\n`);
    expect(write('bsd', [entry])).toBe(`SHA256 (a) = ${A}\nMD5 (a) = ${MD5}\n`);
  });

  test('what nobody could read back is refused', () => {
    const blake = { name: 'a', digests: [{ algorithm: 'blake3', value: A } as const] };
    expect(() => write('sums', [blake])).toThrow('`sums` does not say that a digest is blake3; `bsd` does');
    expect(write('sums', [blake], { algorithm: 'blake3' })).toBe(`${A}  a\n`);
    expect(() => write('sums', [entry], { algorithm: 'sha1' })).toThrow('no sha1 digest of it is known');
    const part = { name: 'a', digests: [{ ...sha256(A), partSize: 8 }] };
    expect(() => write('bsd', [part])).toThrow('no digest of it is known');
  });
});
