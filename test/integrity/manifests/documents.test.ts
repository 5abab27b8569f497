import { describe, expect, test } from 'vitest';
import { A, B, inShort, MD5, read, SHA512, sha256 } from './reading.ts';

describe('metalink', () => {
  const METALINK = 'xmlns="urn:ietf:params:xml:ns:metalink"';
  const link = (files: string) =>
    read('metalink', `<?xml version="1.0" encoding="UTF-8"?>\n<metalink ${METALINK}>${files}</metalink>`);
  const hash = `<hash type="sha-256">${A}</hash>`;

  test('files have their digests and sizes, and places from the best on; pieces are none of them', async () => {
    const { entries, problems } = await link(`
      <published>2026-01-01T00:00:00Z</published>
      <file name="dir/a &amp; b.dat"><identity>x</identity><size> 786430 </size>
        <hash type="sha-256">
          ${A.toUpperCase()}
        </hash><hash type="md5">${MD5}</hash><hash type="sha-384">${'a'.repeat(96)}</hash>
        <pieces length="262144" type="sha-256"><hash>${B}</hash><hash>${B}</hash></pieces>
        <url>ftp://last.example/a</url><url priority="2" location="de">https://b.example/a?x=1&amp;y=2</url>
        <url priority="1">https://a.example/a</url><metaurl mediatype="torrent">https://x.example/t</metaurl></file>
      <file name="no.hash"><size>1</size></file>`);
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      {
        name: 'dir/a & b.dat',
        digests: [sha256(A), { algorithm: 'md5', value: MD5 }],
        size: 786430,
        places: ['https://a.example/a', 'https://b.example/a?x=1&y=2', 'ftp://last.example/a'],
        where: 'file 1',
      },
    ]);
  });

  test('elements of other vocabularies are passed over, whatever the prefix of ours', async () => {
    const text = `<m:metalink xmlns:m="urn:ietf:params:xml:ns:metalink" xmlns:o="other">
      <m:file name="a"><o:hash type="sha-256">${B}</o:hash><m:hash type="sha-256">${A}</m:hash></m:file>
      <o:file name="b"><m:hash type="sha-256">${B}</m:hash></o:file></m:metalink>`;
    expect(inShort(await read('metalink', text))).toEqual({ files: [`a: sha256 ${A}`], problems: [] });
  });

  test('version 3 is read as well', async () => {
    const text = `<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="a"><size>3</size>
      <verification><hash type="sha256">${A}</hash><pieces type="sha1"><hash piece="0">${B}</hash></pieces></verification>
      <resources><url type="ftp" preference="10">ftp://b.example/a</url><url preference="90">http://a.example/a</url>
      </resources></file></files></metalink>`;
    expect((await read('metalink', text)).entries).toEqual([
      {
        name: 'a',
        digests: [sha256(A)],
        size: 3,
        places: ['http://a.example/a', 'ftp://b.example/a'],
        where: 'file 1',
      },
    ]);
  });

  test.each([
    [`<file>${hash}</file>`, 'expected an attribute `name`'],
    [`<file name="">${hash}</file>`, 'the name is empty'],
    [`<file name="a"><size>many</size>${hash}</file>`, 'expected a number of bytes as `size`'],
    [`<file name="a"><size>-1</size>${hash}</file>`, 'expected a number of bytes as `size`'],
    ['<file name="a"><hash type="sha-256">xyz</hash></file>', 'expected 64 hexadecimal digits'],
    [`<file name="a"><hash>${A}</hash></file>`, 'expected an algorithm of'],
    [`<file name="a">${hash}<hash type="sha-256">${B}</hash></file>`, 'contradicts itself'],
    [`<file name="&#0;">${hash}</file>`, 'the name holds a NUL'],
  ])('B1 `%s` is told', async (file, problem) => {
    const { files, problems } = inShort(await link(`${file}<file name="good">${hash}</file>`));
    expect(files).toEqual([`good: sha256 ${A}`]);
    expect(problems).toEqual([expect.stringContaining(`file 1: ${problem}`)]);
  });

  test.each([
    ['a document type', '<!DOCTYPE x [<!ENTITY a "b">]><metalink/>', 'expected no document type'],
    [
      'a billion laughs',
      `<!DOCTYPE l [<!ENTITY a "ha">${[...'bcdefghi'].map((name, at) => `<!ENTITY ${name} "${`&${'abcdefgh'[at]};`.repeat(10)}">`).join('')}]><metalink>&i;</metalink>`,
      'expected no document type',
    ],
    [
      'an entity of the system',
      '<!DOCTYPE x SYSTEM "file:///etc/passwd"><metalink/>',
      'expected no document type',
    ],
    [
      'nesting without end',
      `<metalink>${'<a>'.repeat(5000)}${'</a>'.repeat(5000)}</metalink>`,
      'expected XML: Maximum nested',
    ],
    ['a cut document', '<metalink><file name="a">', 'expected XML'],
    ['another document', '<html></html>', 'expected an element `metalink`'],
    ['no document', 'hello', 'expected'],
    [
      'another encoding',
      '<?xml version="1.0" encoding="ISO-8859-1"?><metalink/>',
      'expected UTF-8, got ISO-8859-1',
    ],
  ])('B1 %s is refused', async (_, text, problem) => {
    await expect(read('metalink', text)).rejects.toThrow(problem);
  });

  test('B1 what the parser says is not repeated without end', async () => {
    const error = await read('metalink', `<metalink>${'<a>'.repeat(50_000)}`).catch(
      (thrown: Error) => thrown,
    );
    expect(error).toBeInstanceOf(Error);
    if (error instanceof Error) expect(error.message.length).toBeLessThan(300);
  });
});

describe('ro-crate', () => {
  const crate = (...graph: unknown[]) =>
    read(
      'ro-crate',
      JSON.stringify({ '@context': 'https://w3id.org/ro/crate/1.1/context', '@graph': graph }),
    );

  test('files have their digests by any of the words in use, and names without percent signs', async () => {
    const { entries, problems } = await crate(
      { '@id': 'ro-crate-metadata.json', '@type': 'CreativeWork', about: { '@id': './' } },
      { '@id': './', '@type': 'Dataset', hasPart: [{ '@id': 'a%20b.csv' }] },
      { '@id': 'no-digest', '@type': 'File' },
      { '@id': 'a%20b/100%25.csv', '@type': 'File', contentSize: '383766', sha256: A },
      { '@id': 'https://x.example/c%20d', '@type': ['File', 'ImageObject'], contentSize: 7, sha512: SHA512 },
      {
        '@id': 'e',
        '@type': 'schema:MediaObject',
        'https://w3id.org/ro/terms/workflow-run#md5': { '@value': MD5 },
      },
      {
        '@id': 'f',
        '@type': 'File',
        'schema:sha256': [A],
        contentSize: '1560B',
        contentUrl: 'https://x.example/f',
      },
      { '@id': '#image', '@type': 'ContainerImage', sha256: B },
    );
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      { name: 'a b/100%.csv', digests: [sha256(A)], size: 383766, where: '@graph[3]' },
      {
        name: 'https://x.example/c%20d',
        digests: [{ algorithm: 'sha512', value: SHA512 }],
        size: 7,
        where: '@graph[4]',
      },
      { name: 'e', digests: [{ algorithm: 'md5', value: MD5 }], where: '@graph[5]' },
      { name: 'f', digests: [sha256(A)], size: 1560, places: ['https://x.example/f'], where: '@graph[6]' },
    ]);
  });

  test.each([
    [{ '@type': 'File', sha256: A }, 'expected text as `@id`'],
    [{ '@id': '100%.csv', '@type': 'File', sha256: A }, 'expected a path, percent-encoded'],
    [{ '@id': 'caf%E9', '@type': 'File', sha256: A }, 'expected a path, percent-encoded'],
    [{ '@id': '#a', '@type': 'File', sha256: A }, 'expected a path, percent-encoded'],
    [{ '@id': 'a%00', '@type': 'File', sha256: A }, 'the name holds a NUL'],
    [{ '@id': '', '@type': 'File', sha256: A }, 'the name is empty'],
    [{ '@id': 'a', '@type': 'File', sha256: A.slice(2) }, 'expected 64 hexadecimal digits'],
    [{ '@id': 'a', '@type': 'File', sha256: [A, B] }, 'contradicts itself'],
    [{ '@id': 'a', '@type': 'File', sha256: true }, 'expected 64 hexadecimal digits'],
  ])('B1 %j is told', async (entity, problem) => {
    const { files, problems } = inShort(await crate(entity, { '@id': 'good', '@type': 'File', sha256: A }));
    expect(files).toEqual([`good: sha256 ${A}`]);
    expect(problems).toEqual([expect.stringContaining(`@graph[0]: ${problem}`)]);
  });

  test('B1 what is no crate is refused', async () => {
    await expect(read('ro-crate', '{"@graph": {}}')).rejects.toThrow('expected a list as `@graph`');
    await expect(read('ro-crate', '[]')).rejects.toThrow('expected a list as `@graph`');
    await expect(read('ro-crate', '{')).rejects.toThrow('expected JSON');
  });
});
