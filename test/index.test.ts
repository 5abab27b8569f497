import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../fixtures/misbehaving/server.ts';
import {
  checksum,
  type Entry,
  type Event,
  type Expectation,
  TransferError,
  transfer,
  verify,
} from '../src/index.ts';
import { readReceipts } from '../src/integrity/receipts.ts';
import { scratch } from './commands/run-command.ts';
import { closeAll, serve } from './http/scripted.ts';

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
  await closeAll();
});

function entry(from: string, to: string, more: object = {}): Entry {
  return {
    type: 'transfer',
    src_urls: [{ site_label: 'here', url: from }],
    dest_urls: [{ site_label: 'there', url: to }],
    ...more,
  };
}

describe('transfer', () => {
  test('cache: what has a known digest is fetched once for two calls', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 2_000_000 } });
    const checksum = { sha256: server.content().digest('sha256') };
    const notes: string[] = [];
    for (const name of ['a', 'b']) {
      const to = `file://${cwd}/${name}`;
      const { outcomes } = await transfer([entry(server.url, to, { checksum })], {
        cache: join(cwd, 'cache'),
      });
      notes.push(...(outcomes[0]?.notes ?? []));
    }
    expect(notes).toEqual(['kept in the cache', 'from the cache']);
    expect(server.requests.filter(({ method }) => method === 'GET')).toHaveLength(1);
  });

  test('brings every request to an outcome, in the order of the input, and tells what happens', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 2_000_000 } });
    writeFileSync(join(cwd, 'a'), 'a');
    const events: Event[] = [];
    const sha256 = server.content().digest('sha256');
    const { outcomes, summary } = await transfer(
      [
        { type: 'remove', target: { site_label: 'here', url: `file://${cwd}/a` } },
        entry(server.url, `file://${cwd}/b`, { checksum: { sha256 } }),
        { type: 'mkdir', target: { site_label: 'here', url: `file://${cwd}/d` } },
      ],
      { onEvent: (event) => events.push(event) },
    );
    expect(outcomes.map(({ index, kind, status }) => [index, kind, status])).toEqual([
      [0, 'remove', 'done'],
      [1, 'transfer', 'done'],
      [2, 'mkdir', 'done'],
    ]);
    expect(summary).toMatchObject({ done: 3, failed: 0 });
    expect(outcomes[1]).toMatchObject({
      bytes: 2_000_000,
      digests: { sha256 },
      sourceVerification: { grade: 'end-to-end' },
    });
    expect(
      createHash('sha256')
        .update(readFileSync(join(cwd, 'b')))
        .digest('hex'),
    ).toBe(sha256);
    expect(events.at(0)).toEqual({ type: 'run-started', total: 3 });
    expect(events.at(-1)?.type).toBe('run-ended');
  });

  test('a failure is an outcome, not an exception', async () => {
    const cwd = scratch();
    const { outcomes, summary } = await transfer([entry(`${cwd}/nope`, `${cwd}/b`)]);
    expect(summary.failed).toBe(1);
    expect(outcomes[0]?.failure).toMatchObject({ code: 'not-found', transient: false });
  });

  test('takes requests as they come', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    async function* requests() {
      for (let index = 0; index < 20; index += 1) yield entry(`${cwd}/a`, `${cwd}/out/${index}`);
    }
    expect((await transfer(requests(), { threads: 2 })).summary.done).toBe(20);
  });

  test.each([
    [
      'B1 a malformed entry',
      [{ type: 'transfer' } as unknown as Entry],
      'requests[0].src_urls: expected a list of URLs, got nothing',
    ],
    [
      'B4 a destination named twice',
      [entry('/a', '/b'), entry('/c', '/b')],
      'expected each destination once',
    ],
    ['B1 no object', [null as unknown as Entry], 'requests[0]: expected an object'],
  ])('%s rejects before anything is touched', async (_, requests, message) => {
    const error = await transfer(requests).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TransferError);
    expect(error).toMatchObject({ code: 'invalid-request' });
    expect((error as TransferError).message).toContain(message);
  });

  test('an aborted run ends, and says what was canceled', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 64 * 1024 * 1024 }, rate: 8 * 1024 * 1024 });
    const controller = new AbortController();
    const { outcomes } = await transfer([entry(server.url, `${cwd}/b`)], {
      signal: controller.signal,
      onEvent: (event) => event.type === 'progress' && controller.abort(),
    });
    expect(outcomes).toMatchObject([{ status: 'canceled' }]);
    expect(existsSync(join(cwd, 'b'))).toBe(false);
  });

  test('reads no environment but the one it is given', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const env = { PLACE: cwd };
    expect((await transfer([entry('file://$PLACE/a', 'file://$PLACE/b')], { env })).summary.done).toBe(1);
    expect((await transfer([entry('file://$PLACE/a', 'file://$PLACE/c')])).summary.failed).toBe(1);
  });

  const ca = fileURLToPath(new URL('../fixtures/tls/ca.pem', import.meta.url));

  test.each([
    [{}, 0, {}],
    [{ SSL_CERT_FILE: ca }, 1, {}],
    [{ X509_CERT_DIR: dirname(ca) }, 1, {}],
    [{ BRIDLE_TLS_VERIFY: 'off' }, 1, {}],
    [{ BRIDLE_TLS_VERIFY: 'off' }, 0, { verifyTls: true }],
  ])('S11 the environment %j says whom to trust, as it does for commands', async (env, done, options) => {
    const secure = await serve(
      async (visit) => {
        for (;;) {
          await visit.request();
          visit.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        }
      },
      { certificate: 'server' },
    );
    const { summary } = await transfer([entry(`${secure.url}/f`, `${scratch()}/f`)], { env, ...options });
    expect(summary).toMatchObject({ done, failed: 1 - done });
  });

  test.each([
    ['BRIDLE_GS_PARALLEL', 'many'],
    ['BRIDLE_FTP_TLS', 'perhaps'],
    ['BRIDLE_TLS_VERIFY', 'perhaps'],
  ])('%s means what it does to commands, and another word is refused', async (name, word) => {
    const error = await transfer([], { env: { [name]: word } }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'invalid-request', message: expect.stringContaining(name) });
  });
});

/** What an iteration yields, all of it. */
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe('transfer that keeps what it proved', () => {
  test('writes receipts and digests of what is done, also with blocks, and requires a grade', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const options = {
      receipts: join(cwd, 'done.jsonl'),
      writeChecksums: join(cwd, 'SHA256SUMS'),
      blocks: true,
    };
    const requests = [
      entry(`file://${cwd}/a`, `file://${cwd}/b`),
      entry(`file://${cwd}/x`, `file://${cwd}/y`),
    ];
    const { outcomes } = await transfer(requests, options);
    expect(outcomes[0]?.blocks?.sha256).toEqual([sha256('a')]);
    const receipts = [...readReceipts(readFileSync(options.receipts))];
    expect(receipts).toMatchObject([{ isBroken: false, receipt: { destination: `file://${cwd}/b` } }]);
    expect(readFileSync(options.writeChecksums, 'utf8')).toBe(`${sha256('a')}  ${cwd}/b\n`);
    const strict = { require: { source: 'end-to-end', destination: 'none' } } as const;
    const refused = await transfer([entry(`file://${cwd}/a`, `file://${cwd}/c`)], strict);
    expect(refused.outcomes).toMatchObject([{ status: 'unsupported' }]);
  });

  test('leaves what it need not read again alone, and says whose digest that rests on', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), Buffer.alloc(3_000_000, 'a'));
    const receipts = join(cwd, 'done.jsonl');
    const requests = [entry(`file://${cwd}/a`, `file://${cwd}/b`)];
    await transfer(requests, { receipts });
    const again = await transfer(requests, { update: true, trustUnchanged: [receipts] });
    expect(again.outcomes[0]?.notes[0]).toMatch(/reused from receipt .* line 1 of/);
    const files = [join(cwd, 'a'), join(cwd, 'b')];
    expect(await all(checksum(files, { trustUnchanged: [receipts] }))).toMatchObject([
      { name: files[0], size: 3_000_000 },
      { name: files[1], reused: expect.stringContaining('line 1 of') },
    ]);
  });
});

describe('checksum', () => {
  test('digests paths and URLs in their order, all algorithms at once, and stops at none', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 9_000_000 } });
    writeFileSync(join(cwd, 'a b'), 'a');
    const names = [server.url, join(cwd, 'gone'), `file://${cwd}/a b`];
    const found = await all(checksum(names, { algorithms: ['sha256', 'md5'], blocks: true }));
    expect(found).toMatchObject([
      { name: server.url, size: 9_000_000, blocks: { sha256: [expect.any(String), expect.any(String)] } },
      { name: names[1], failure: { code: 'not-found' } },
      { name: names[2], digests: { sha256: sha256('a'), md5: createHash('md5').update('a').digest('hex') } },
    ]);
    expect(found[0]).toMatchObject({ digests: { sha256: server.content().digest('sha256') } });
  });

  test('ends with `canceled`, and with `invalid-request` for what is no place', async () => {
    const signal = AbortSignal.abort();
    server = await startMisbehaving();
    const { url } = server;
    await expect(all(checksum([url], { signal }))).rejects.toMatchObject({ code: 'canceled' });
    await expect(all(checksum(['']))).rejects.toMatchObject({ code: 'invalid-request' });
  });
});

describe('verify', () => {
  test('tells of each file whether it is what it must be', async () => {
    const cwd = scratch();
    for (const name of ['good', 'bad']) writeFileSync(join(cwd, name), name);
    const expected: Expectation[] = ['good', 'bad', 'gone'].map((name) => ({
      file: join(cwd, name),
      digests: { sha256: sha256('good') },
    }));
    expect(await all(verify(expected))).toMatchObject([
      { name: join(cwd, 'good'), status: 'proven', by: 'read' },
      { status: 'wrong', problem: expect.stringContaining('expected sha256') },
      { status: 'missing' },
    ]);
    const short = { file: join(cwd, 'good'), digests: { sha256: sha256('good') }, size: 5 };
    expect(await all(verify([short]))).toMatchObject([
      { status: 'wrong', problem: 'expected 5 bytes, it has 4' },
    ]);
  });

  test('B6 refuses digests that are none', async () => {
    const none = { file: 'x', digests: {} };
    await expect(all(verify([none]))).rejects.toThrow('expected a digest, got none');
    await expect(all(verify([{ file: 'x', digests: { sha256: 'ab' } }]))).rejects.toMatchObject({
      code: 'invalid-request',
    });
  });
});

test('the examples of the library in README.md do what they say', async () => {
  const readme = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
  const section = readme.slice(readme.indexOf('## As a library'), readme.indexOf('## More'));
  const examples = [...section.matchAll(/```ts\n(.*?)```/gs)].map(([, text = '']) => text);
  expect(examples).toHaveLength(2);
  server = await startMisbehaving({ content: { size: 100_000 } });
  const running = server;
  const cwd = scratch();
  const outputs = examples.map((text, at) => {
    const path = join(cwd, `${at}.mjs`);
    const module = text
      .replaceAll('https://data.example.org/reads.bin', running.url)
      .replaceAll('/scratch', cwd)
      .replaceAll(/[0-9a-f]{64}/g, running.content().digest('sha256'))
      .replace("'bridle'", `'${new URL('../dist/index.js', import.meta.url)}'`);
    writeFileSync(path, module);
    return path;
  });
  const run = (path: string) =>
    new Promise<string>((resolve, reject) => {
      const env = { PATH: process.env.PATH ?? '', HOME: cwd };
      execFile(process.execPath, [path], { env }, (error, out) => (error ? reject(error) : resolve(out)));
    });
  expect(await run(outputs[0] ?? '')).toContain('run-ended');
  const told = (await run(outputs[1] ?? '')).trimEnd();
  expect(told.split(running.content().digest('sha256'))).toHaveLength(3);
  expect(told.endsWith(`${cwd}/reads.bin read`)).toBe(true);
});
