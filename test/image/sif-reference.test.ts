import { describe, expect, test } from 'vitest';
import { imageFileName } from '../../src/image/file-name.ts';
import {
  baseUrl,
  formatLibrary,
  formatShub,
  parseLibraryReference,
  parseShubReference,
} from '../../src/image/sif-service/reference.ts';

const HEX = '9f'.repeat(32);

describe('the name of an image of a library', () => {
  test.each([
    ['library://lab/tools/montage:1.2', undefined, 'lab/tools/montage', '1.2'],
    ['library:///lab/tools/montage', undefined, 'lab/tools/montage', 'latest'],
    ['lab/tools/montage:1,latest', undefined, 'lab/tools/montage', '1'],
    ['tools/montage', undefined, 'tools/montage', 'latest'],
    ['montage', undefined, 'montage', 'latest'],
    ['library://lib.example.org/lab/tools/montage', 'lib.example.org', 'lab/tools/montage', 'latest'],
    ['library://lib.example:8443/tools/montage:2', 'lib.example:8443', 'tools/montage', '2'],
    [`lab/tools/montage:sha256.${HEX}`, undefined, 'lab/tools/montage', `sha256.${HEX}`],
    [`lab/tools/montage:1@sha256:${HEX}`, undefined, 'lab/tools/montage', `sha256.${HEX}`],
  ])('%s is read', (text, host, path, tag) => {
    const reference = parseLibraryReference(text);
    expect(reference).toEqual({ host, path, tag });
    expect(parseLibraryReference(formatLibrary(reference))).toEqual(reference);
  });

  test.each(['', 'a//b', 'a/b/c/d/e', 'a/b:', 'a/b:x y', 'a/../b', 'a/b?x', 'a/b:sha256.1', 'ho st/a/b/c'])(
    '%j is none',
    (text) => {
      expect(() => parseLibraryReference(text)).toThrow(/^image `library:/);
    },
  );
});

describe('the name of a container of a hub', () => {
  const md5 = '0123456789abcdef'.repeat(2);
  test.each([
    ['shub://lab/tool', undefined, 'lab/tool', 'latest', undefined],
    ['shub://hub.example.org/lab/tool:x', 'hub.example.org', 'lab/tool', 'x', undefined],
    [`lab/tool@${md5}`, undefined, 'lab/tool', undefined, md5],
    [`lab/tool:x@${md5}`, undefined, 'lab/tool', 'x', md5],
  ])('%s is read', (text, host, path, tag, pin) => {
    const reference = parseShubReference(text);
    expect(reference).toEqual({ host, path, tag, pin });
    expect(parseShubReference(formatShub(reference))).toEqual(reference);
  });

  test.each(['tool', 'a/b/c/d', 'a/b@xyz', 'a/b:?'])('%j is none', (text) => {
    expect(() => parseShubReference(text)).toThrow(/^image `shub:/);
  });
});

test.each([
  ['docker', 'montage', '.tar', 'montage_latest.tar'],
  ['docker', '/rynge/montage:1.2', '.sif', 'montage_1.2.sif'],
  ['oci', `host:5000/a/b@sha256:${HEX}`, '', 'b_sha256-9f9f9f9f9f9f'],
  ['oras', 'host.example/a/b:1', '.sif', 'b_1.sif'],
  ['library', 'lab/tools/montage', '.sif', 'montage_latest.sif'],
  ['library', `lab/tools/montage:sha256.${HEX}`, '.sif', `montage_sha256.${HEX}.sif`],
  ['shub', 'lab/tool', '.sif', 'tool_latest.sif'],
])('a file of %s %s with %j is called %s', (scheme, name, ending, expected) => {
  expect(imageFileName(scheme, name, ending)).toBe(expected);
});

test('a base URL of a variable is one, without its last slash', () => {
  expect(baseUrl('X', undefined, 'https://a')).toBe('https://a');
  expect(baseUrl('X', 'http://h:1/p/', 'https://a')).toBe('http://h:1/p');
  for (const text of ['h', 'ftp://h', 'https://u@h', 'https://h?q', 'https://h#f']) {
    expect(() => baseUrl('X', text, 'https://a')).toThrow('X: expected a URL such as `https://a`');
  }
});
