import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../src/errors.ts';
import { parseEntry, parsePair, type TransferRequest } from '../src/request.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
console.info(`request seed ${seed}`);

type Fields = Readonly<Record<string, unknown>>;

const source = { site_label: 'remote', url: 'https://host/in.dat' };
const destination = { site_label: 'local', url: 'file:///scratch/in.dat' };

function entry(fields: Fields = {}): Fields {
  return { type: 'transfer', src_urls: [source], dest_urls: [destination], ...fields };
}

function parse(fields: Fields = {}): TransferRequest {
  const request = parseEntry(entry(fields), 3, { BASE: '/base' });
  if (request.kind !== 'transfer') throw new Error(`expected a transfer, got ${request.kind}`);
  return request;
}

function refusal(value: unknown): string {
  try {
    parseEntry(value, 3, {});
  } catch (error) {
    if (error instanceof TransferError && error.code === 'invalid-request') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('transfers', () => {
  test('what is left out has the values it always had', () => {
    expect(parse()).toEqual({
      kind: 'transfer',
      index: 3,
      lfn: '',
      linkage: 'unknown',
      sources: [{ location: { scheme: 'https', authority: 'host', path: '/in.dat', site: 'remote' } }],
      destinations: [{ location: { scheme: 'file', authority: '', path: '/scratch/in.dat', site: 'local' } }],
      generateChecksum: false,
      verifyRemote: false,
      verifySymlinkSource: true,
      expected: [],
    });
  });

  test('every key that means something is read, the others are ignored', () => {
    const request = parse({
      id: 7,
      attributes: { any: 'thing' },
      lfn: 'in.dat',
      linkage: 'input',
      src_urls: [
        { ...source, priority: ' 50 ', checkpoint: 'false', other: null },
        { ...source, priority: -5, type: 'docker' },
      ],
      dest_urls: [{ ...destination, type: 'singularity' }],
      generate_checksum: true,
      verify_checksum_remote: true,
      verify_symlink_source: false,
      size: '12',
    });
    expect(request).toMatchObject({
      lfn: 'in.dat',
      linkage: 'input',
      sources: [{ priority: 50 }, { priority: -5, format: 'docker' }],
      destinations: [{ format: 'singularity' }],
      generateChecksum: true,
      verifyRemote: true,
      verifySymlinkSource: false,
      size: 12,
    });
  });

  test('local URLs expand variables and remote paths lose doubled slashes', () => {
    const request = parse({
      src_urls: [{ site_label: 'a', url: 'file://$BASE/in' }],
      dest_urls: [{ site_label: 'b', url: 'https://host//a//b' }],
    });
    expect(request.sources[0]?.location.path).toBe('/base/in');
    expect(request.destinations[0]?.location.path).toBe('/a/b');
  });

  test('a password in a URL is no part of the location', () => {
    const [place] = parse({ src_urls: [{ site_label: 'a', url: 'https://me:hunter2@host/in' }] }).sources;
    expect(place?.secret).toEqual({ username: 'me', password: 'hunter2' });
    expect(JSON.stringify(place?.location)).not.toContain('hunter2');
  });

  test.each([
    ['"false"', 'false', true],
    ['"0"', '0', true],
    ['1', 1, true],
    ['-1', -1, true],
    ['[0]', [0], true],
    ['{"a":0}', { a: 0 }, true],
    ['0', 0, false],
    ['-0', -0, false],
    ['""', '', false],
    ['[]', [], false],
    ['{}', {}, false],
    ['null', null, false],
  ])('switches have the truth of Python: %s', (_, value, truth) => {
    const { generateChecksum, verifyRemote, verifySymlinkSource } = parse({
      generate_checksum: value,
      verify_checksum_remote: value,
      verify_symlink_source: value,
    });
    expect([generateChecksum, verifyRemote, verifySymlinkSource]).toEqual([truth, truth, truth]);
  });
});

describe('expected digests', () => {
  const sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

  test('B6 upper case is accepted and lower-cased, in both spellings', () => {
    const digest = { algorithm: 'sha256', value: sha256 };
    expect(parse({ checksum: { sha256: sha256.toUpperCase() } }).expected).toEqual([digest]);
    expect(parse({ checksum: { type: 'sha256', value: sha256.toUpperCase() } }).expected).toEqual([digest]);
  });

  test.each([
    ['sha256', 64],
    ['sha512', 128],
    ['sha1', 40],
    ['md5', 32],
    ['crc32', 8],
    ['crc32c', 8],
    ['crc64nvme', 16],
    ['adler32', 8],
  ])('B6 %s has exactly %i hexadecimal digits', (algorithm, digits) => {
    expect(parse({ checksum: { [algorithm]: 'a'.repeat(digits) } }).expected).toHaveLength(1);
    for (const value of ['a'.repeat(digits - 1), 'a'.repeat(digits + 1), '', `${'a'.repeat(digits - 1)}g`]) {
      const message = refusal(entry({ checksum: { [algorithm]: value } }));
      expect(message).toContain(`requests[3].checksum.${algorithm}: expected ${digits} hexadecimal digits`);
    }
  });

  test.each(['sha3', 'SHA-256', 'constructor', '__proto__', ''])('B6 the algorithm %j is refused', (name) => {
    const checksum = JSON.parse(`{${JSON.stringify(name)}: "00"}`);
    expect(refusal(entry({ checksum }))).toMatch(
      /^requests\[3\]\.checksum\..*: expected an algorithm of sha256/,
    );
  });

  test('several digests are all kept and none is no error', () => {
    expect(parse({ checksum: { md5: '0'.repeat(32), crc32: '0'.repeat(8) } }).expected).toHaveLength(2);
    expect(parse({ checksum: {} }).expected).toEqual([]);
    expect(parse({ checksum: null }).expected).toEqual([]);
  });
});

describe('directories and removals', () => {
  test('a mkdir has a target', () => {
    expect(parseEntry({ type: 'mkdir', target: destination }, 0, {})).toMatchObject({
      kind: 'mkdir',
      index: 0,
      target: { location: { path: '/scratch/in.dat', site: 'local' } },
    });
  });

  test.each([
    ...[true, 'yes', 'TRUE', 'True', 't', '1', 1].map((given) => [given, true] as const),
    ...[undefined, false, 'no', 'False', 'F', '0', 0].map((given) => [given, false] as const),
  ])('recursive %j is %j', (recursive, expected) => {
    expect(parseEntry({ type: 'remove', target: { ...destination, recursive } }, 0, {})).toMatchObject({
      kind: 'remove',
      recursive: expected,
    });
  });

  test.each(['maybe', '', null, 2, [], {}])('recursive %j is refused', (recursive) => {
    expect(refusal({ type: 'remove', target: { ...destination, recursive } })).toMatch(
      /^requests\[3\]\.target\.recursive: expected true, false/,
    );
  });
});

describe('pairs of the text format', () => {
  const pair = {
    source: { url: 'https://host/a', site: 'a', line: 2 },
    destination: { url: 'b', site: 'b', line: 4 },
  };

  test('a pair is a transfer with the values of a bare entry', () => {
    const bare = parse({
      src_urls: [{ site_label: 'a', url: 'https://host/a' }],
      dest_urls: [{ site_label: 'b', url: 'b' }],
    });
    expect(parsePair(pair, 3, {})).toEqual(bare);
  });

  test('an error names the line', () => {
    const broken = { ...pair, destination: { url: 'https://', site: 'b', line: 4 } };
    expect(() => parsePair(broken, 0, {})).toThrow('line 4: expected a host in the `https` URL, got none');
  });
});

/** Every field of an entry, and what may stand there. */
const FIELDS: readonly (readonly [string, (value: unknown) => unknown])[] = [
  ['requests[3]', (value) => value],
  ['requests[3].type', (type) => entry({ type })],
  ['requests[3].lfn', (lfn) => entry({ lfn })],
  ['requests[3].linkage', (linkage) => entry({ linkage })],
  ['requests[3].size', (size) => entry({ size })],
  ['requests[3].checksum', (checksum) => entry({ checksum })],
  ['requests[3].checksum.md5', (md5) => entry({ checksum: { md5 } })],
  ['requests[3].checksum.type', (type) => entry({ checksum: { type, value: '' } })],
  ['requests[3].checksum.value', (value) => entry({ checksum: { type: 'md5', value } })],
  ['requests[3].generate_checksum', (generate_checksum) => entry({ generate_checksum })],
  ['requests[3].src_urls', (src_urls) => entry({ src_urls })],
  ['requests[3].src_urls[1]', (value) => entry({ src_urls: [source, value] })],
  ['requests[3].src_urls[1].url', (url) => entry({ src_urls: [source, { ...source, url }] })],
  ['requests[3].src_urls[1].type', (type) => entry({ src_urls: [source, { ...source, type }] })],
  ['requests[3].src_urls[1].priority', (priority) => entry({ src_urls: [source, { ...source, priority }] })],
  ['requests[3].dest_urls', (dest_urls) => entry({ dest_urls })],
  ['requests[3].dest_urls[0].site_label', (site_label) => entry({ dest_urls: [{ ...source, site_label }] })],
  ['requests[3].target', (target) => ({ type: 'mkdir', target })],
  ['requests[3].target.url', (url) => ({ type: 'remove', target: { ...source, url } })],
  ['requests[3].target.recursive', (recursive) => ({ type: 'remove', target: { ...source, recursive } })],
];

describe('B1 wrong types', () => {
  test.each(FIELDS)('at %s any JSON value is a request or an error that names the field', (field, place) => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const message = refusal(JSON.parse(JSON.stringify(place(value))));
        if (message !== 'accepted') expect(message.startsWith(field)).toBe(true);
      }),
      { seed, numRuns: 300 },
    );
  });

  test.each(['src_urls', 'dest_urls', 'type'])('the key %s is required', (key) => {
    expect(refusal(entry({ [key]: undefined }))).toContain(`requests[3].${key}: expected`);
  });

  test('a literal in a message is cut and objects are not shown', () => {
    expect(refusal(entry({ size: 'x'.repeat(500) })).length).toBeLessThan(160);
    expect(refusal(entry({ size: { password: 'hunter2' } }))).toBe(
      'requests[3].size: expected a number of bytes, got an object',
    );
  });

  test('a label is refused when half a character is in it', () => {
    expect(refusal(entry({ lfn: 'a\ud800' }))).toContain('requests[3].lfn: expected whole characters');
  });
});
