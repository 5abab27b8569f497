import { describe, expect, test } from 'vitest';
import { A, B, inShort, MD5, read, sha256, write } from './reading.ts';

describe('catalog-yaml', () => {
  test('replicas have their digests, sizes and places', async () => {
    const text = `# made by hand
x-pegasus: {apiLang: python, createdBy: me}
pegasus: "5.0"
replicas:
  - lfn: f.a
    pfns:
      - {site: local, pfn: 'file:///x/f.a'}
      - {site: osn, pfn: 's3s://me@osn/b/f.a'}
    checksum: {sha256: ${A.toUpperCase()}}
    metadata: {size: 1024, creator: me}
  - lfn: no.checksum
    pfns: [{site: local, pfn: /x}]
  - {lfn: old, pfn: /old, site: local, checksum.type: sha256, checksum.value: ${B}}
`;
    const { entries, problems } = await read('catalog-yaml', text);
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      {
        name: 'f.a',
        digests: [sha256(A)],
        size: 1024,
        places: ['file:///x/f.a', 's3s://me@osn/b/f.a'],
        where: 'replicas[0]',
      },
      { name: 'old', digests: [sha256(B)], places: ['/old'], where: 'replicas[2]' },
    ]);
  });

  test('P1 a digest that looks like a number, and a name that looks like nothing, are text', async () => {
    for (const value of [
      '12345678901234567890123456789012',
      '00000000000000000000000000000012',
      `1e${'0'.repeat(30)}`,
    ]) {
      const text = `replicas:\n  - lfn: null\n    checksum: {md5: ${value}}\n`;
      expect(inShort(await read('catalog-yaml', text)).files).toEqual([`null: md5 ${value}`]);
    }
  });

  test('a pattern is no file: it is told where it has a checksum', async () => {
    const text = `replicas:
  - {lfn: 'f.*', regex: true, pfns: [{site: x, pfn: '/x/[0]'}]}
  - {lfn: 'g.*', regex: true, pfns: [{site: x, pfn: '/x/[0]'}], checksum: {sha256: ${A}}}
`;
    expect(inShort(await read('catalog-yaml', text))).toEqual({
      files: [],
      problems: ['replicas[1]: a pattern is the name of no file'],
    });
  });

  test('B1 one replica that is wrong is told, and the rest stands', async () => {
    const text = `replicas:
  - 7
  - {lfn: [a], checksum: {sha256: ${A}}}
  - {lfn: a, checksum: {sha256: ${A.slice(1)}}}
  - {lfn: b, checksum: {sha9: x}}
  - {lfn: c, checksum: {sha256: [${A}]}}
  - {lfn: "d\\0", checksum: {sha256: ${A}}}
  - {lfn: e, checksum: {sha256: ${B}}}
`;
    const { files, problems } = inShort(await read('catalog-yaml', text));
    expect(files).toEqual([`e: sha256 ${B}`]);
    expect(problems).toEqual([
      'replicas[0]: expected text as `lfn`',
      'replicas[1]: expected text as `lfn`',
      expect.stringContaining('replicas[2]: expected 64 hexadecimal digits'),
      expect.stringContaining('replicas[3]: expected an algorithm of'),
      expect.stringContaining('replicas[4]: expected 64 hexadecimal digits'),
      expect.stringContaining('replicas[5]: the name holds a NUL'),
    ]);
  });

  test.each([
    ['no list', 'pegasus: "5.0"\nreplicas: x\n', 'expected a list as `replicas`'],
    ['another document', 'jobs: []\n', 'expected a list as `replicas`'],
    ['two documents', 'replicas: []\n---\nreplicas: []\n', 'expected YAML'],
    [
      'a key twice',
      `replicas:\n  - {lfn: a, checksum: {sha256: ${A}, sha256: ${B}}}\n`,
      'expected YAML: Map keys',
    ],
    ['an open bracket', 'replicas: [', 'expected YAML'],
    ['brackets without end', `replicas: ${'['.repeat(30_000)}`, 'expected YAML'],
    ['an alias', 'a: &a x\nreplicas: [*a]\n', 'expected YAML: Alias resolution is disabled'],
    [
      'a billion laughs',
      `a: &a [x, x]\n${[...'bcdefghij'].map((name, at) => `${name}: &${name} [${`*${'abcdefghi'[at]}, `.repeat(9)}]\n`).join('')}replicas: *j\n`,
      'expected YAML: Alias resolution is disabled',
    ],
    [
      'a map of very many keys',
      Array.from({ length: 20_000 }, (_, at) => `k${at}: 1\n`).join(''),
      'too many keys',
    ],
  ])('B1 %s is refused', async (_, text, problem) => {
    await expect(read('catalog-yaml', text)).rejects.toThrow(problem);
  });

  test('tags make nothing but text', async () => {
    const text = `replicas:\n  - lfn: !!js/function a\n    checksum: {sha256: !!binary ${A}}\n`;
    expect(inShort(await read('catalog-yaml', text)).files).toEqual([`a: sha256 ${A}`]);
  });

  test('a long list is read in pieces, whatever its indentation, and every replica keeps its number', async () => {
    for (const indent of ['', '  ']) {
      const item = (at: number) =>
        `${indent}- lfn: "f${at}\n\n${indent}    - not an item"\n${indent}  note: |\n${indent}     - lfn: x\n${indent}  checksum: {sha256: ${A}}\n`;
      const text = `replicas:\n${Array.from({ length: 1500 }, (_, at) => item(at)).join('')}`;
      const { entries, problems } = await read('catalog-yaml', text);
      expect(problems).toEqual([]);
      expect(entries).toHaveLength(1500);
      expect(entries.at(-1)).toMatchObject({ name: 'f1499\n- not an item', where: 'replicas[1499]' });
    }
  });

  test('P1 a list of another field is none of replicas, however long', async () => {
    const items = (name: string) =>
      Array.from({ length: 1500 }, (_, at) => `- {lfn: ${name}${at}, checksum: {sha256: ${A}}}\n`).join('');
    const { entries } = await read('catalog-yaml', `replicas:\n${items('f')}x-other:\n${items('g')}`);
    expect(entries).toHaveLength(1500);
    expect(entries.every(({ name }) => name.startsWith('f'))).toBe(true);
  });

  test('P1 a last replica that may be cut counts for nothing', async () => {
    const text = `replicas:\n- {lfn: a, checksum: {sha256: ${A}}}\n- checksum: {sha256: ${A}}\n  lfn: bc`;
    expect(inShort(await read('catalog-yaml', text))).toEqual({
      files: [`a: sha256 ${A}`],
      problems: ['replicas[1]: the last line has no end: the manifest may be cut'],
    });
  });

  test('it is written as the schema has it', async () => {
    const entry = { name: 'f "a"', digests: [sha256(A)], size: 3, places: ['file:///x', 's3://b/x'] };
    expect(write('catalog-yaml', [entry])).toBe(`pegasus: "5.0"
replicas:
  - lfn: "f \\"a\\""
    pfns:
      - site: local
        pfn: "file:///x"
      - site: local
        pfn: "s3://b/x"
    checksum:
      sha256: "${A}"
    metadata:
      size: 3
`);
    expect((await read('catalog-yaml', write('catalog-yaml', [entry]))).entries).toMatchObject([entry]);
    expect(inShort(await read('catalog-yaml', write('catalog-yaml', [])))).toEqual({
      files: [],
      problems: [],
    });
    const digests = [{ algorithm: 'md5', value: MD5 } as const];
    expect(() => write('catalog-yaml', [{ name: 'a', digests }])).toThrow('no sha256 digest of it is known');
  });
});

describe('catalog-text', () => {
  const one = async (line: string) => inShort(await read('catalog-text', line));

  test('replicas have their digests, sizes and places; of one name all count', async () => {
    const text = `# file-based replica catalog
f.a file:///x/f.a site="local" checksum.type="sha256" checksum.value="${A}" size="3"
f.a s3://b/f.a pool=osn checksum.value=${A}
no.checksum /x
"with \\"quotes\\" \\\\ and = blanks" "http://x/?a=b"\tchecksum.type="md5"  checksum.value="${MD5}"
`;
    const { entries, problems } = await read('catalog-text', text);
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      {
        name: 'f.a',
        digests: [sha256(A)],
        size: 3,
        places: ['file:///x/f.a', 's3://b/f.a'],
        where: 'line 2',
      },
      {
        name: 'with "quotes" \\ and = blanks',
        digests: [{ algorithm: 'md5', value: MD5 }],
        places: ['http://x/?a=b'],
        where: 'line 5',
      },
    ]);
  });

  test.each([
    ['a', 'expected `LFN PFN key="value" …`'],
    ['"a b', 'a quote is not closed'],
    ['a "b\\', 'a quote is not closed'],
    ['a=b c', 'expected quotes around'],
    ['a http://x/?a=b', 'expected quotes around'],
    ['a b\\c', 'expected quotes around'],
    ['=a b', 'expected a word'],
    ['a b c', 'expected a key, an equals sign and a value'],
    ['a b =c', 'expected a key, an equals sign and a value'],
    ['a b c=', 'expected a word'],
    [`a b checksum.value="${A.slice(1)}"`, 'expected 64 hexadecimal digits for sha256, got 63'],
    [`a b checksum.value="${A}" checksum.value="${B}"`, 'contradicts itself'],
    [`a.* b regex="true" checksum.value="${A}"`, 'a pattern is the name of no file'],
    [`"" b checksum.value="${A}"`, 'the name is empty'],
  ])('B1 `%s` is told', async (line, problem) => {
    const { files, problems } = await one(line);
    expect(files).toEqual([]);
    expect(problems[0]).toContain(problem);
  });

  test('P1 replicas that contradict each other count for nothing', async () => {
    const text = `a x checksum.value="${A}"\na y checksum.value="${B}"\n`;
    expect(inShort(await read('catalog-text', text))).toEqual({
      files: [],
      problems: [`line 2: contradicts line 1: sha256 \`${B}\` here, \`${A}\` there`],
    });
  });

  test('it is written as its reader needs it, one line a place', () => {
    const entry = { name: 'a b', digests: [sha256(A)], size: 3, places: ['/x', 'http://x/?a=b'] };
    const rest = `site="local" checksum.type="sha256" checksum.value="${A}" size="3"\n`;
    expect(write('catalog-text', [entry])).toBe(`"a b" /x ${rest}"a b" "http://x/?a=b" ${rest}`);
    expect(() => write('catalog-text', [{ name: 'a\nb', digests: [sha256(A)] }])).toThrow('no way to write');
  });
});
