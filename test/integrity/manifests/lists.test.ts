import { describe, expect, test } from 'vitest';
import { findBag, readBagDeclaration } from '../../../src/integrity/manifests/bagit.ts';
import { A, B, inShort, MD5, read, SHA512, sha256, write } from './reading.ts';

describe('bagit', () => {
  const manifest = (text: string) => read('bagit', text, 'sha256');

  test('RFC 8493 §2.1.3: line ends and percent signs are encoded, and nothing else', async () => {
    const text = `${A}  data/a%0Ab%0dc%25d\n${B}\tdata/100%20é\n`;
    expect((await manifest(text)).entries.map(({ name }) => name)).toEqual([
      'data/a\nb\rc%d',
      'data/100%20é',
    ]);
    expect(write('bagit', [{ name: 'data/a\nb\rc%d é', digests: [sha256(A)] }])).toBe(
      `${A}  data/a%0Ab%0Dc%25d é\n`,
    );
  });

  test('white space of any length and the asterisk of md5sum stand before the path', async () => {
    expect((await manifest(`${A} *data/a\n${B} \t data/b\n`)).entries.map(({ name }) => name)).toEqual([
      'data/a',
      'data/b',
    ]);
  });

  test.each([
    [`${A}`, 'expected `DIGEST  PATH`'],
    [`${A}   `, 'expected `DIGEST  PATH`'],
    [`${MD5}  data/a`, 'expected 64 hexadecimal digits for sha256, got 32'],
  ])('B1 `%s` is told', async (line, problem) => {
    expect(inShort(await manifest(`${line}\n`)).problems[0]).toContain(problem);
  });

  test('a manifest that does not say its algorithm is refused', async () => {
    await expect(read('bagit', `${A}  data/a\n`)).rejects.toThrow('it has to be said');
  });

  test('one manifest is of one algorithm, and holds no name that it cannot', () => {
    const both = { digests: [sha256(A), { algorithm: 'md5', value: MD5 } as const] };
    expect(
      write('bagit', [
        { name: 'a', ...both },
        { name: 'b', ...both },
      ]),
    ).toBe(`${A}  a\n${A}  b\n`);
    expect(() => write('bagit', [{ name: ' a', digests: [sha256(A)] }])).toThrow('no way to write a name');
  });

  test('a directory with a bagit.txt and a manifest is a bag', () => {
    const members = ['bagit.txt', 'data', 'fetch.txt', 'manifest-sha256.txt', 'manifest-sha3512.txt'];
    expect(findBag([...members, 'manifest-md5.txt', 'tagmanifest-sha512.txt'])).toEqual({
      payload: [
        { fileName: 'manifest-sha256.txt', algorithm: 'sha256' },
        { fileName: 'manifest-md5.txt', algorithm: 'md5' },
      ],
      tags: [{ fileName: 'tagmanifest-sha512.txt', algorithm: 'sha512' }],
      unknown: ['manifest-sha3512.txt'],
    });
    expect(findBag(['manifest-md5.txt', 'data'])).toBeUndefined();
    expect(findBag(['bagit.txt', 'tagmanifest-md5.txt'])).toBeUndefined();
  });

  test('the declaration of a bag says its version, and that its manifests are in UTF-8', () => {
    const declaration = (encoding: string) =>
      Buffer.from(`BagIt-Version: 0.97\r\nTag-File-Character-Encoding: ${encoding}\r\n`);
    expect(readBagDeclaration(declaration('UTF-8'))).toEqual({ version: '0.97' });
    expect(() => readBagDeclaration(declaration('UTF-16'))).toThrow('its manifests are in `UTF-16`');
    expect(() => readBagDeclaration(Buffer.from('hello'))).toThrow('expected `BagIt-Version: 1.0`');
    expect(() => readBagDeclaration(Buffer.alloc(5000, ' '))).toThrow('at most 4096 bytes');
  });
});

describe('registry', () => {
  test('a line is a name, a digest of sha256 or of what it says, and perhaps a URL', async () => {
    const text = `# comment\na.csv ${A}\n b.csv MD5:${MD5}\n"c d.csv" sha512:${SHA512} https://x.example/c\n`;
    const { entries, problems } = await read('registry', text);
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      { name: 'a.csv', digests: [sha256(A)], where: 'line 2' },
      { name: 'b.csv', digests: [{ algorithm: 'md5', value: MD5 }], where: 'line 3' },
      {
        name: 'c d.csv',
        digests: [{ algorithm: 'sha512', value: SHA512 }],
        places: ['https://x.example/c'],
        where: 'line 4',
      },
    ]);
  });

  test.each([
    [`'a "b' ${A}`, 'a "b'],
    [`"a \\"b\\\\ \\c" ${A}`, 'a "b\\ \\c'],
    [`a\\ b ${A}`, 'a b'],
    [`'it'"'"'s' ${A}`, "it's"],
    [`'#a' ${A}`, '#a'],
  ])("`%s` is quoted as Python's shlex reads it", async (line, name) => {
    expect((await read('registry', line)).entries.map((entry) => entry.name)).toEqual([name]);
  });

  test.each([
    ['a', 'expected `NAME ALGORITHM:DIGEST`'],
    [`a ${A} u more`, 'expected `NAME ALGORITHM:DIGEST`'],
    [`a ${A.slice(0, 60)}`, 'expected 64 hexadecimal digits for sha256, got 60'],
    [`a sha512:${A}`, 'expected 128 hexadecimal digits for sha512, got 64'],
    [`a sha3:${A}`, 'expected an algorithm of'],
    [`'a ${A}`, 'a quote is not closed'],
    ['a b\\', 'nothing follows the last backslash'],
    [`'' ${A}`, 'the name is empty'],
  ])('B1 `%s` is told', async (line, problem) => {
    expect(inShort(await read('registry', line)).problems[0]).toContain(problem);
  });
});

describe('meta', () => {
  const file = (name: unknown, attributes: object) => ({ _type: 'file', _id: name, _attributes: attributes });
  const sum = { 'checksum.type': 'sha256', 'checksum.value': A };

  test('every entry with a checksum counts, the others say nothing', async () => {
    const list = [
      file('a', { ...sum, size: '14' }),
      file('b', { user: 'me' }),
      file('c', { 'checksum.value': B }),
    ];
    const { entries, problems } = await read('meta', JSON.stringify(list));
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      { name: 'a', digests: [sha256(A)], size: 14, where: 'entry 0' },
      { name: 'c', digests: [sha256(B)], where: 'entry 2' },
    ]);
  });

  test('files of two bytes and less are empty lists', async () => {
    for (const text of ['', '[]', '{}', '\n']) {
      expect(inShort(await read('meta', text))).toEqual({ files: [], problems: [] });
    }
  });

  test('B1 what is no entry is told, what is no list is refused', async () => {
    const list = [
      7,
      file(7, sum),
      file('a', { 'checksum.value': 7 }),
      file('b\0', sum),
      file('\ud800', sum),
      file('', sum),
    ];
    const { files, problems } = inShort(await read('meta', JSON.stringify(list)));
    expect(files).toEqual([]);
    expect(problems).toEqual([
      'entry 0: expected a string as `_id`',
      'entry 1: expected a string as `_id`',
      'entry 2: expected strings as checksum',
      expect.stringContaining('entry 3: the name holds a NUL'),
      expect.stringContaining('entry 4: the name is no valid Unicode'),
      'entry 5: the name is empty',
    ]);
    await expect(read('meta', '{"a": 1}')).rejects.toThrow('expected a list');
    await expect(read('meta', '[{"_id"')).rejects.toThrow('expected JSON');
    await expect(read('meta', Buffer.from('["caf\xe9"]', 'latin1'))).rejects.toThrow('expected UTF-8');
  });

  test('it is written as Pegasus writes it, and holds sha256 alone', () => {
    const text = write('meta', [{ name: 'a', size: 14, digests: [sha256(A)] }]);
    expect(JSON.parse(text)).toEqual([file('a', { size: '14', ...sum })]);
    expect(() => write('meta', [{ name: 'a', digests: [{ algorithm: 'md5', value: MD5 }] }])).toThrow(
      'no sha256 digest of it is known',
    );
  });
});

describe('json', () => {
  const list = (...files: unknown[]) => JSON.stringify({ 'bridle-checksums': 1, files });

  test('name, size, digests and places come back', async () => {
    const entry = {
      name: 'a\nb',
      size: 3,
      digests: [sha256(A), { algorithm: 'md5', value: MD5 } as const],
      places: ['s3://b/a'],
    };
    const text = write('json', [entry, { name: 'c', digests: [sha256(B)] }]);
    expect(text.split('\n')).toHaveLength(5);
    expect((await read('json', text)).entries).toEqual([
      { ...entry, where: 'files[0]' },
      { name: 'c', digests: [sha256(B)], where: 'files[1]' },
    ]);
    expect(await read('json', write('json', []))).toMatchObject({ entries: [], problems: [] });
  });

  test('P1 a document that was cut is refused wherever it was', async () => {
    const text = write('json', [{ name: 'a', digests: [sha256(A)] }]).trimEnd();
    for (let length = 0; length < text.length; length++) {
      await expect(read('json', text.slice(0, length))).rejects.toThrow('reading digests: expected JSON');
    }
  });

  test('an algorithm from the future beside one of ours is passed over', async () => {
    const { files, problems } = inShort(
      await read(
        'json',
        list({ name: 'a', digests: { sha9: 'x', sha256: A } }, { name: 'b', digests: { sha9: 'x' } }),
      ),
    );
    expect(files).toEqual([`a: sha256 ${A}`]);
    expect(problems[0]).toContain('files[1]: expected an algorithm of');
  });

  test.each([
    [7, 'expected a string as `name`'],
    [{ digests: { sha256: A } }, 'expected a string as `name`'],
    [{ name: 'a', size: -1, digests: { sha256: A } }, 'expected a number of bytes as `size`'],
    [{ name: 'a', size: 1.5, digests: { sha256: A } }, 'expected a number of bytes as `size`'],
    [{ name: 'a' }, 'expected a digest'],
    [{ name: 'a', digests: { sha256: 7 } }, 'expected algorithms and digests as `digests`'],
    [{ name: 'a', digests: [A] }, 'expected algorithms and digests as `digests`'],
    [{ name: 'a', digests: { sha256: A.slice(1) } }, 'expected 64 hexadecimal digits'],
    [{ name: 'a', digests: { sha256: A, 'SHA-256': B } }, 'contradicts itself'],
    [{ name: 'a', digests: { sha256: A }, places: [7] }, 'expected a list of strings as `places`'],
  ])('B1 %j is told', async (file, problem) => {
    expect(inShort(await read('json', list(file))).problems[0]).toContain(`files[0]: ${problem}`);
  });

  test('B1 another document is refused', async () => {
    await expect(read('json', '{"bridle-checksums": 2, "files": []}')).rejects.toThrow(
      'expected `"bridle-checksums": 1`',
    );
    await expect(read('json', '{"bridle-checksums": 1}')).rejects.toThrow('expected a list as `files`');
    await expect(read('json', 'null')).rejects.toThrow('expected `"bridle-checksums": 1`');
  });
});
