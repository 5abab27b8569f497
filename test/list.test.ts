import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { describeError, TransferError } from '../src/errors.ts';
import { createHashSet, hashKey } from '../src/list/duplicates.ts';
import { createElementScanner } from '../src/list/elements.ts';
import { findSyntaxError } from '../src/list/syntax.ts';
import { openList, type RequestList } from '../src/list.ts';
import type { Request } from '../src/request.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
console.info(`list seed ${seed}`);

const directory = mkdtempSync(join(tmpdir(), 'bridle-list-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const FIXTURES = join(import.meta.dirname, '../fixtures/requests');
const ENV = { BASE_DIR: '/base' };

function named(folder: string): string[] {
  return readdirSync(join(FIXTURES, folder))
    .filter((name) => name.endsWith('.list'))
    .map((name) => name.slice(0, -'.list'.length));
}

/** The bytes of `content` in pieces of `size`. */
async function* stream(content: string | Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content);
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

function openText(content: string | Uint8Array, allowDuplicates = false): Promise<RequestList> {
  return openList({ stream: stream(content), spoolDirectory: directory }, { env: ENV, allowDuplicates });
}

async function all(list: RequestList, kind?: Request['kind']): Promise<Request[]> {
  const requests: Request[] = [];
  for await (const request of list.requests(kind)) requests.push(request);
  return requests;
}

async function errorOf(work: Promise<unknown>): Promise<TransferError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof TransferError) return error;
  throw new Error(`expected a TransferError, got ${String(error)}`);
}

function transfer(index: number, destination = `file:///scratch/${index}`): object {
  return {
    type: 'transfer',
    lfn: `f${index}.dat`,
    src_urls: [{ site_label: 'remote', url: `https://host/collection/f${index}.dat` }],
    dest_urls: [{ site_label: 'local', url: destination }],
  };
}

function writeTransfers(path: string, count: number): void {
  const file = openSync(path, 'w');
  for (let index = 0; index < count; ) {
    const lines: string[] = [];
    for (const end = Math.min(index + 5000, count); index < end; index++) {
      lines.push(`${index === 0 ? '[' : ','}${JSON.stringify(transfer(index))}\n`);
    }
    writeSync(file, lines.join(''));
  }
  writeSync(file, ']');
  closeSync(file);
}

describe('fixtures', () => {
  test.each(named('bad'))('B1 B2 B4 B6 B7 the list `%s` is refused with its message', async (name) => {
    const path = join(FIXTURES, 'bad', `${name}.list`);
    const error = await errorOf(openList({ path }, { env: ENV }));
    const expected = readFileSync(join(FIXTURES, 'bad', `${name}.message`), 'utf8');
    expect(`${describeError(error).replaceAll(path, 'LIST')}\n`).toBe(expected);
    expect(error.code).toBe('invalid-request');
  });

  test.each(named('good'))('the list `%s` is read from a file and from a stream alike', async (name) => {
    const path = join(FIXTURES, 'good', `${name}.list`);
    const fromFile = await openList({ path }, { env: ENV });
    const fromStream = await openList(
      { stream: stream(readFileSync(path), 7), spoolDirectory: directory },
      { env: ENV },
    );
    expect(fromStream.summary).toEqual(fromFile.summary);
    const requests = await all(fromFile);
    expect(await all(fromStream)).toEqual(requests);
    expect(requests.length).toBe(fromFile.summary.total);
    await fromFile.close();
    await fromStream.close();
  });
});

describe('JSON lists', () => {
  test('kinds mix, are counted, and keep their position in the input', async () => {
    const target = { site_label: 'local', url: 'file:///a' };
    const entries = [
      { type: 'mkdir', target },
      transfer(1),
      { type: 'remove', target },
      transfer(2),
      { type: 'mkdir', target },
    ];
    const list = await openText(JSON.stringify(entries));
    expect(list.summary).toEqual({ total: 5, transfers: 2, mkdirs: 2, removes: 1, duplicates: 0 });
    expect((await all(list)).map((request) => [request.index, request.kind])).toEqual([
      [0, 'mkdir'],
      [1, 'transfer'],
      [2, 'remove'],
      [3, 'transfer'],
      [4, 'mkdir'],
    ]);
    for (const [kind, indexes] of [
      ['mkdir', [0, 4]],
      ['transfer', [1, 3]],
      ['remove', [2]],
    ] as const) {
      expect((await all(list, kind)).map((request) => request.index)).toEqual(indexes);
    }
  });

  test.each(['[]', ' [ ] ', '{}', '{ }\n'])('%j holds no requests', async (text) => {
    const list = await openText(text);
    expect(list.summary.total).toBe(0);
    expect(await all(list)).toEqual([]);
  });

  test('two passes may run at the same time', async () => {
    const path = join(directory, 'two-passes.list');
    writeTransfers(path, 5000);
    const list = await openList({ path }, { env: ENV });
    const [first, second] = await Promise.all([all(list), all(list)]);
    expect(first).toEqual(second);
    expect(first.map((request) => request.index)).toEqual(first.map((_, index) => index));
    await list.close();
  });

  test('an entry of more than 16 MiB and one nested without end are refused', async () => {
    const long = `[{"lfn": "${'x'.repeat(17 * 1024 * 1024)}"}]`;
    expect((await errorOf(openText(long))).message).toContain(
      'expected an entry of at most 16777216 bytes, at byte 1 ',
    );
    expect((await errorOf(openText(`[${'['.repeat(100_000)}`))).message).toContain(
      'nested no deeper than 500',
    );
  });

  test('no message repeats the text around a syntax error', async () => {
    const error = await errorOf(openText('[{"url": "https://me:hunter2@host/" x}]'));
    expect(`${error.message}${String(error.cause)}`).not.toContain('hunter2');
  });
});

describe('text lists', () => {
  const sites = (requests: readonly Request[]) =>
    requests.map((request) =>
      request.kind === 'transfer'
        ? [request.sources[0]?.location.site, request.destinations[0]?.location.site]
        : undefined,
    );

  test('pairs without comments have the sites of the pair before', async () => {
    const list = await openText(
      '# src 1 a-site prio 5\nfile:///1\n# dst 1 b_site\nfile:///2\n\nfile:///3\nfile:///4\n# src 3 c\nfile:///5\nfile:///6\n',
    );
    expect(list.summary).toMatchObject({ total: 3, transfers: 3 });
    expect(sites(await all(list))).toEqual([
      ['a-site', 'b_site'],
      ['a-site', 'b_site'],
      ['c', 'b_site'],
    ]);
    expect(await all(list, 'mkdir')).toEqual([]);
  });

  test('lines of four characters and less do not count, and the last one needs no end', async () => {
    const list = await openText('# src 1 a\nabcd\n\nfile:///a\nx\n# dst 1 b\nfile:///b');
    expect(list.summary.total).toBe(1);
  });

  test('L14 URLs go to the end of their line, spaces included', async () => {
    const list = await openText('# src 1 a\nfile:///a b \n# dst 1 b\nfile:///c d\r\n');
    const [request] = await all(list);
    expect(request).toMatchObject({
      sources: [{ location: { path: '/a b ' } }],
      destinations: [{ location: { path: '/c d' } }],
    });
  });

  test('a list longer than one chunk reads as one', async () => {
    const lines = ['# src 1 a'];
    for (let index = 0; index < 20_000; index++)
      lines.push(`file:///source/${index}`, `file:///destination/${index}`);
    const list = await openText(lines.join('\n'));
    const requests = await all(list);
    expect(requests).toHaveLength(20_000);
    expect(
      requests.every(
        (request, index) =>
          request.kind === 'transfer' && request.sources[0]?.location.path === `/source/${index}`,
      ),
    ).toBe(true);
  });
});

describe('inputs', () => {
  test('a stream above 1 MiB is spooled to a file that has no name', async () => {
    const spool = mkdtempSync(join(directory, 'spool-'));
    const entries = Array.from({ length: 10_000 }, (_, index) => transfer(index));
    const text = JSON.stringify(entries);
    expect(text.length).toBeGreaterThan(1024 * 1024);
    const list = await openList({ stream: stream(text), spoolDirectory: spool }, { env: ENV });
    expect(readdirSync(spool)).toEqual([]);
    expect((await all(list)).length).toBe(10_000);
    await list.close();
  });

  test('a spool directory that cannot be written to is named', async () => {
    const missing = join(directory, 'missing');
    const source = { stream: stream(Buffer.alloc(2 * 1024 * 1024, 0x20)), spoolDirectory: missing };
    const error = await errorOf(openList(source, { env: ENV }));
    expect(error.message).toBe(`spooling the transfer list in \`${missing}\`: no such file or directory`);
  });

  test('a stream that breaks off rejects', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('[');
      throw Object.assign(new Error('read EIO'), { code: 'EIO' });
    }
    const error = await errorOf(openList({ stream: broken(), spoolDirectory: directory }, { env: ENV }));
    expect(error.message).toBe('reading the transfer list: input/output error');
  });

  test('a named pipe is read like a file', async () => {
    const path = join(directory, 'pipe');
    execFileSync('mkfifo', [path]);
    const opening = openList({ path, spoolDirectory: directory }, { env: ENV });
    appendFileSync(path, JSON.stringify([transfer(0)]));
    const list = await opening;
    expect((await all(list)).length).toBe(1);
    await list.close();
  });

  test.each([
    ['missing.list', 'not-found', 'no such file or directory'],
    ['.', 'invalid-request', 'is a directory'],
  ])('the path `%s` rejects with %s', async (name, code, text) => {
    const path = join(directory, name);
    const error = await errorOf(openList({ path }, { env: ENV }));
    expect([error.code, error.message]).toEqual([code, `reading \`${path}\`: ${text}`]);
  });

  test.each([
    ['has other bytes', (text: string) => text.replace('f3.dat', 'f4.dat')],
    ['is shorter', (text: string) => text.slice(0, -1)],
    ['is longer', (text: string) => `${text} `],
    ['is longer by more than a chunk', (text: string) => text + ' '.repeat(600_000)],
  ])('a file that %s at the second pass rejects with `changed`', async (_, change) => {
    const path = join(directory, 'changing.list');
    const text = JSON.stringify(Array.from({ length: 100 }, (_, index) => transfer(index)));
    writeFileSync(path, text);
    const list = await openList({ path }, { env: ENV });
    writeFileSync(path, change(text));
    const error = await errorOf(all(list));
    expect([error.code, error.message]).toEqual([
      'changed',
      `reading \`${path}\`: changed while it was being read`,
    ]);
    await list.close();
  });

  test('B7 a byte order mark, UTF-16 and NUL are told apart', async () => {
    const text = JSON.stringify([transfer(0)]);
    expect((await openText(Buffer.from(`\ufeff${text}`))).summary.total).toBe(1);
    const swapped = Buffer.from(`\ufeff${text}`, 'utf16le').swap16();
    for (const utf16 of [
      Buffer.from(text, 'utf16le'),
      Buffer.from(`\ufeff${text}`, 'utf16le'),
      swapped,
      swapped.subarray(2),
    ]) {
      expect((await errorOf(openText(utf16))).message).toContain('expected UTF-8, got UTF-16');
    }
    expect((await errorOf(openText(`${text}\0`))).message).toContain(
      `got a NUL byte, at byte ${text.length} `,
    );
  });
});

describe('destinations named twice', () => {
  const twice = (first: string, second: string) =>
    JSON.stringify([transfer(0, first), transfer(1), transfer(2, second)]);

  test.each([
    ['file:///a', 'file:///a'],
    ['file:///a/b', '/a//b'],
    ['file:///a', 'symlink:///a'],
    ['https://host/a', 'https://HOST//a'],
  ])('B4 %s and %s are one', async (first, second) => {
    const error = await errorOf(openText(twice(first, second)));
    expect(error.message).toMatch(
      /^requests\[2\]\.dest_urls\[0\]\.url: expected each destination once, `.+` is that of requests\[0\] too$/,
    );
  });

  test.each([
    ['file:///a', 'file:///A'],
    ['https://host/a', 'http://host/a'],
    ['https://host/a', 'https://host:444/a'],
    ['https://host/put?file=a', 'https://host/put?file=b'],
    ['https://host/put?token=x&file=a', 'https://host/put?token=x&file=b'],
    ['file:///ab', 'file:///a?b'],
  ])('B4 %s and %s are two', async (first, second) => {
    expect((await openText(twice(first, second))).summary.duplicates).toBe(0);
  });

  test('B4 when duplicates are allowed they are counted and all are kept', async () => {
    const entries = Array.from({ length: 30 }, (_, index) => transfer(index, `file:///${index % 10}`));
    const list = await openText(JSON.stringify(entries), true);
    expect(list.summary).toMatchObject({ total: 30, duplicates: 20 });
    expect((await all(list)).length).toBe(30);
    const error = await errorOf(openText(JSON.stringify(entries)));
    expect(error.message).toContain(': 20 problems\n  requests[10].dest_urls[0].url: ');
    expect(error.message.endsWith('\nand 10 more')).toBe(true);
  });

  test('B4 a set of hashes knows every one it was given, in any order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(50), fc.integer({ min: 1, max: 2 ** 53 - 1 })), { maxLength: 3000 }),
        (hashes) => {
          const set = createHashSet();
          const reference = new Set<number>();
          for (const hash of hashes.map((value) => value || 1)) {
            expect(set.add(hash)).toBe(!reference.has(hash));
            reference.add(hash);
          }
        },
      ),
      { seed, numRuns: 50 },
    );
  });

  test('B4 hashes of like names are whole, positive and differ', () => {
    const hashes = Array.from({ length: 100_000 }, (_, index) =>
      hashKey(`\0/scratch/run/00/${index}/f${index % 7}.dat`),
    );
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes.every((hash) => Number.isSafeInteger(hash) && hash > 0)).toBe(true);
  });
});

describe('long lists', () => {
  test('B3 200,000 entries are read twice with memory that does not grow with them', async () => {
    const path = join(directory, 'long.list');
    writeTransfers(path, 200_000);
    const before = process.memoryUsage();
    let peak = 0;
    const measure = () => {
      const { heapUsed, external } = process.memoryUsage();
      peak = Math.max(peak, heapUsed + external - before.heapUsed - before.external);
    };
    const list = await openList({ path }, { env: ENV });
    measure();
    expect(list.summary).toMatchObject({ total: 200_000, transfers: 200_000, duplicates: 0 });
    let count = 0;
    for await (const request of list.requests('transfer')) {
      if (request.index !== count) throw new Error(`expected request ${count}, got ${request.index}`);
      if (++count % 5000 === 0) measure();
    }
    await list.close();
    expect(count).toBe(200_000);
    // The requests of this list as objects take over 150 MB.
    expect(peak).toBeLessThan(80 * 1024 * 1024);
  });
});

/** What the scanner makes of `bytes` in pieces cut at `cuts`; undefined when it finds a flaw. */
function scan(bytes: Uint8Array, cuts: readonly number[]): string[] | undefined {
  const scanner = createElementScanner();
  const elements: string[] = [];
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  let start = 0;
  const buffer = Buffer.alloc(bytes.length);
  for (const end of ends) {
    // One buffer for all chunks, as a file is read.
    const chunk = buffer.subarray(0, end - start);
    buffer.fill(0x7b);
    chunk.set(bytes.subarray(start, end));
    for (const item of scanner.push({ bytes: chunk, offset: start })) {
      if ('flaw' in item) return undefined;
      const text = Buffer.from(item.bytes).toString();
      expect(Buffer.from(bytes.subarray(item.offset, item.offset + item.bytes.length)).toString()).toBe(text);
      elements.push(text);
    }
    start = end;
  }
  return scanner.end(bytes.length) ? undefined : elements;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

describe('scanning', () => {
  const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 3 });
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom('\\', '"', '\\"', ']', '[{', '\u2028', '🧬', 'é', -0, 1e300, true, null),
  );
  const cuts = fc.array(fc.nat(), { maxLength: 12 });

  test('the scanner finds the elements that the parser finds, in any spacing and any pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(space, value, space), { maxLength: 8 }),
        space,
        cuts,
        fc.boolean(),
        (items, around, at, indent) => {
          const inner = items
            .map(([a, item, b]) => a + JSON.stringify(item, null, indent ? 1 : 0) + b)
            .join(',');
          const text = `${around}[${inner}${around}]${around}`;
          const elements = scan(Buffer.from(text), at);
          expect(elements?.map((element) => JSON.parse(element))).toEqual(JSON.parse(text));
        },
      ),
      { seed, numRuns: 2000 },
    );
  });

  /** JSON with something broken in it, mostly. */
  const broken = fc.oneof(
    fc.string({
      unit: fc.constantFrom('[', ']', '{', '}', ',', ':', '"', '\\', 'a', '1', ' ', 'null', '-', '.', 'e'),
      maxLength: 14,
    }),
    fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', ',', ']', '}', '\\', '\n', 'x'))
      .map(([text, at, piece]) => {
        const index = at % (text.length + 1);
        return text.slice(0, index) + piece + text.slice(index + 1);
      }),
  );

  test('scanner and parser together accept exactly the lists that the parser alone accepts', () => {
    fc.assert(
      fc.property(broken, cuts, (given, at) => {
        const text = given.startsWith('[') ? given : `[${given}]`;
        const elements = scan(Buffer.from(text), at);
        const whole = elements?.every((element) => parsed(element) !== undefined)
          ? elements.map(parsed)
          : undefined;
        expect(whole).toEqual(parsed(text));
      }),
      { seed, numRuns: 5000 },
    );
  });

  test('a syntax error is found where there is one and nowhere else', () => {
    fc.assert(
      fc.property(broken, (text) => {
        const at = findSyntaxError(text);
        if (parsed(text) !== undefined) {
          expect(at).toBe(text.length);
          return;
        }
        // What stands before the place is no error by itself.
        expect(findSyntaxError(text.slice(0, at))).toBe(at);
      }),
      { seed, numRuns: 5000 },
    );
  });

  test.each([
    ['{"a" 1}', 5],
    ['{"a": 1 "b": 2}', 8],
    ['{"a": 1,}', 8],
    ['{a: 1}', 1],
    ['[1, 2,]', 6],
    ['[1}', 2],
    ['["a\\x"]', 3],
    ['["a\nb"]', 3],
    ['[01]', 1],
    ['[truth]', 1],
    ['\\', 0],
    ['[1] 2', 4],
    ['["a', 3],
    ['["a\\u00', 7],
    ['[tru', 4],
    ['[-', 2],
    ['[1.', 3],
  ])('in %j the syntax error is at %i', (text, at) => {
    expect(findSyntaxError(text)).toBe(at);
  });

  test('any bytes give a list or a TransferError', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .tuple(
          fc.constantFrom('# src 1 a\n', '[', '[{"type":"mkdir","target":'),
          fc.uint8Array({ maxLength: 40 }),
        )
        .map(([start, rest]) => Buffer.concat([Buffer.from(start), rest])),
      broken.map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        const list = await openText(content).catch((error: unknown) => error);
        if (list instanceof TransferError) expect(list.message).not.toBe('');
        else expect((await all(list as RequestList)).length).toBe((list as RequestList).summary.total);
      }),
      { seed, numRuns: 1500 },
    );
  });
});
