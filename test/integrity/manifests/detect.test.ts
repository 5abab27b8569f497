import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { detectFormat, hintOf } from '../../../src/integrity/manifests/detect.ts';
import { FORMATS, findFormat } from '../../../src/integrity/manifests/formats.ts';
import { A, MD5 } from './reading.ts';

const detect = (name: string, text: string) => detectFormat(name, Buffer.from(text));

describe('the format of a list', () => {
  test.each([
    ['x.meta', '', 'meta'],
    ['dir/manifest-sha256.txt', '', 'bagit'],
    ['tagmanifest-md5.txt', `${MD5}  bagit.txt\n`, 'bagit'],
    ['ro-crate-metadata.json', '{}', 'ro-crate'],
    ['x.meta4', '<metalink/>', 'metalink'],
    ['SHA256SUMS', '', 'sums'],
    ['SHA256SUMS', `SHA256 (a) = ${A}\n`, 'bsd'],
    ['x.sha256', `${A}\n`, 'sums'],
    ['list', `\n# c\n${A} *a\n`, 'sums'],
    ['list', `\\${A}  a\\n\n`, 'sums'],
    ['list', `SHA256(a)= ${A}\n`, 'bsd'],
    ['list', `a.csv ${A}\n`, 'registry'],
    ['list', `a.csv md5:${MD5} https://x.example/?site=1\n`, 'registry'],
    ['list', 'f.a file:///f.a site="local"\n', 'catalog-text'],
    ['list', 'f.a file:///f.a\nf.b file:///f.b checksum.value="1"\n', 'catalog-text'],
    ['list', '\ufeffx-pegasus:\n  apiLang: python\npegasus: "5.0"\nreplicas: []\n', 'catalog-yaml'],
    ['list', '---\nreplicas:\n', 'catalog-yaml'],
    ['list', '{"bridle-checksums": 1, "files": []}', 'json'],
    ['list', '{"@context": "x", "@graph": []}', 'ro-crate'],
    ['list', '[{"_id": "a"}]', 'meta'],
    ['list', '<?xml version="1.0"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', 'metalink'],
  ] as const)('of `%s` with `%s` is %s', (name, text, format) => {
    expect(detect(name, text)).toBe(format);
  });

  test('is told of documents in one long line', () => {
    expect(detect('list', `{"bridle-checksums": 1, "files": [${' '.repeat(100_000)}]}`)).toBe('json');
  });

  test.each([
    ['list', '', 'the name `list` is of none, and it is empty'],
    ['list', 'hello\n', 'and its first line is `hello`'],
    ['list.json', '{"a": 1}', 'and its first line is `{"a": 1}`'],
    ['list', '[]', 'and its first line is `[]`'],
    ['list', '<html>', 'and its first line is `<html>`'],
    ['list', '{"bridle-checksums": 1, "@graph": []}', 'may be of json or ro-crate'],
    ['list', `${A} ${A}\n`, 'may be of sums or registry'],
    ['list', `${A} file:///a site="local"\n`, 'may be of sums or catalog-text'],
  ])('B1 is not guessed: `%s` with `%s`', (name, text, problem) => {
    expect(() => detect(name, text)).toThrow(problem);
  });

  test('B1 UTF-16 is refused by name', () => {
    expect(() => detectFormat('list', Buffer.from('\ufeffabc', 'utf16le'))).toThrow('got UTF-16');
  });
});

describe('the algorithm of a list', () => {
  test.each([
    ['SHA256SUMS', { algorithm: 'sha256' }],
    ['/x/tool-1.2-MD5SUMS', { algorithm: 'md5' }],
    ['sha512sum.txt', { algorithm: 'sha512' }],
    ['B3SUMS', { algorithm: 'blake3' }],
    ['x.iso.sha256', { algorithm: 'sha256', subject: 'x.iso' }],
    ['x.SHA-1', { algorithm: 'sha1', subject: 'x' }],
    ['x.md5sum.txt', { algorithm: 'md5', subject: 'x' }],
    ['x.crc32c', { algorithm: 'crc32c', subject: 'x' }],
    ['manifest-sha512.txt', { algorithm: 'sha512' }],
    ['list.txt', {}],
    ['md5', {}],
  ])('as `%s` says it', (name, hint) => {
    expect(hintOf(name)).toEqual(hint);
  });

  test.each(['B2SUMS', 'x.sha384', 'manifest-sha3512.txt'])('of `%s` is not ours', (name) => {
    expect(() => hintOf(name)).toThrow(`there is no `);
  });
});

test('formats are found by name, and a wrong name is told what there is', () => {
  for (const format of FORMATS) expect(findFormat(format.name)).toBe(format);
  expect(() => findFormat('csv')).toThrow(/expected a format of sums, bsd, .*, got `csv`/);
});

test('packages are loaded by the formats that need them, when they are parsed', () => {
  const folder = fileURLToPath(new URL('../../../src/integrity/manifests/', import.meta.url));
  const atOnce = readdirSync(folder).filter((name) =>
    /^import (?!type\b)[^;]* from '(?!\.|node:)/m.test(readFileSync(folder + name, 'utf8')),
  );
  expect(atOnce).toEqual([]);
});
