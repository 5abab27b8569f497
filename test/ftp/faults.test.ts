import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import type { Bytes, Endpoint, NetSettings, WriteCall } from '../../src/protocol.ts';
import { afterwards } from '../faults/scene.ts';
import { type FtpMore, ftpEndpoint } from '../ftp-subject.ts';
import { first, type Script, type ScriptedFtp, saying, scriptedFtp } from './scripted.ts';

const MIB = 1024 * 1024;
const CONTENT = Buffer.alloc(3 * MIB, 'content of a file');
const KEY = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const never = new AbortController().signal;
const call = { signal: never };
const SHORT: Partial<NetSettings> = { timeouts: { connect: 2, firstByte: 0.6, stall: 0.6 } };

async function scene(
  script: Script,
  more: FtpMore = {},
): Promise<{ readonly server: ScriptedFtp; readonly endpoint: Endpoint }> {
  const server = await scriptedFtp({ files: { '/f': CONTENT }, ...script });
  const endpoint = ftpEndpoint(server.url, { tls: 'off', ...more });
  afterwards(() => endpoint.close?.());
  return { server, endpoint };
}

async function collect(bytes: Bytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function read(endpoint: Endpoint, path = '/f', more: object = {}): Promise<Buffer> {
  const source = await endpoint.read(path, { ...call, ...more });
  const content = await collect(source.bytes);
  await source.confirm?.();
  return content;
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += MIB) yield content.subarray(at, at + MIB);
}

function write(endpoint: Endpoint, path: string, content: Uint8Array, more: Partial<WriteCall> = {}) {
  const retry: WriteCall['retry'] = async (unit) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await unit(never);
      } catch (error) {
        if (tries === 3 || !(error instanceof TransferError) || !error.transient) throw error;
      }
    }
  };
  return endpoint.write!(path, once(content), { ...call, key: KEY, retry, size: content.length, ...more });
}

async function failure(promise: Promise<unknown>): Promise<TransferError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TransferError);
  return error as TransferError;
}

/** Names that the server has besides those that are wanted. */
function partials({ files }: ScriptedFtp): string[] {
  return [...files.keys()].filter((name) => name.includes('.bridle'));
}

describe('a download', () => {
  test('F1 that ends early is not whole, although the server says 226', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RETR: first(1, async ({ say, data }) => {
          say('150 coming');
          (await data()).end(CONTENT.subarray(0, MIB));
          say('226 that was it');
          return true;
        }),
      },
    });
    const error = await failure(read(endpoint));
    expect(error.code).toBe('unavailable');
    expect(error.message).toMatch(/ended after 1048576 of 3145728 bytes/);
    // The same session goes on.
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
    expect(server.connections()).toBe(1);
  });

  test.each(['426 broken off', '451 disk trouble'])(
    'F1 that the server says is broken is: `%s`',
    async (line) => {
      const { endpoint } = await scene({
        answers: {
          RETR: first(1, async ({ say, data }) => {
            say('150 coming');
            (await data()).end(CONTENT);
            say(line);
            return true;
          }),
        },
      });
      expect((await failure(read(endpoint))).code).toBe('unavailable');
      expect((await read(endpoint)).equals(CONTENT)).toBe(true);
    },
  );

  test('F2 whose data connection is reset is not whole', async () => {
    const { endpoint } = await scene(
      {
        answers: {
          RETR: first(1, async ({ say, data }) => {
            say('150 coming');
            const socket = await data();
            socket.write(CONTENT.subarray(0, MIB), () => socket.resetAndDestroy());
            return true;
          }),
        },
      },
      { net: SHORT },
    );
    expect((await failure(read(endpoint))).code).toBe('unavailable');
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
  });

  test('F3 of more bytes than SIZE promised is refused', async () => {
    const { endpoint } = await scene({
      answers: {
        RETR: async ({ say, data }) => {
          say('150 coming');
          const socket = await data();
          socket.end(Buffer.concat([CONTENT, Buffer.from('!')]));
          await new Promise((resolve) => socket.once('finish', resolve));
          say('226 that was it');
          return true;
        },
      },
    });
    expect((await failure(read(endpoint))).code).toBe('size-mismatch');
  });

  test('F4 P7 that falls silent is `stalled`', async () => {
    const { endpoint } = await scene(
      {
        answers: {
          RETR: async ({ say, data }) => {
            say('150 coming');
            (await data()).write(CONTENT.subarray(0, MIB));
            return true;
          },
        },
      },
      { net: SHORT },
    );
    expect((await failure(read(endpoint))).code).toBe('stalled');
  });

  test('F4 P7 a slow reader is not taken for a silent server', async () => {
    const content = Buffer.alloc(8 * MIB, 'slow');
    const { endpoint } = await scene({ files: { '/f': content } }, { net: SHORT });
    const source = await endpoint.read('/f', call);
    let count = 0;
    for await (const chunk of source.bytes) {
      // Longer than the stall limit, while the server waits for us.
      if (count === 0) await delay(1300);
      count += chunk.length;
    }
    expect(count).toBe(content.length);
  });

  test('P2 P7 whose 226 never comes is not done', async () => {
    const { endpoint } = await scene(
      {
        answers: {
          RETR: async ({ say, data }) => {
            say('150 coming');
            (await data()).end(CONTENT);
            return true;
          },
        },
      },
      { net: SHORT },
    );
    expect((await failure(read(endpoint))).code).toBe('timed-out');
  });

  test('P2 whose control connection is cut before the 226 is not done', async () => {
    const { endpoint } = await scene({
      answers: {
        RETR: async ({ say, data, control }) => {
          say('150 coming');
          const socket = await data();
          socket.end(CONTENT);
          socket.once('close', () => control.destroy());
          return true;
        },
      },
    });
    expect((await failure(read(endpoint))).code).toBe('unavailable');
  });

  test('F6 from a server that ignores REST is refused, not mixed in', async () => {
    const { endpoint } = await scene({ answers: { REST: saying('350 yes, yes') } });
    const error = await failure(read(endpoint, '/f', { range: { start: MIB } }));
    expect(error.code).toBe('size-mismatch');
  });

  test('F6 from a server without REST is `range-ignored`, before any byte', async () => {
    const { endpoint } = await scene({ answers: { REST: saying('502 no') } });
    expect((await failure(endpoint.read('/f', { ...call, range: { start: 5 } }))).code).toBe('range-ignored');
  });

  test('F6 a range of a file whose size nobody tells is `range-ignored`', async () => {
    const { endpoint } = await scene({ answers: { SIZE: saying('500 no'), MDTM: saying('500 no') } });
    expect((await failure(endpoint.read('/f', { ...call, range: { start: 5 } }))).code).toBe('range-ignored');
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
  });

  test('F8 of a file that changes meanwhile is `changed`', async () => {
    let asked = 0;
    const { endpoint } = await scene({
      answers: {
        MDTM: ({ say }) => {
          asked += 1;
          say(`213 2020010100000${asked}`);
          return true;
        },
      },
    });
    expect((await failure(read(endpoint))).code).toBe('changed');
  });

  test('F9 a file of this very second has no version: its time would not tell the next content from this', async () => {
    const now = new Date().toISOString().slice(0, 19).replace(/\D/g, '');
    const { endpoint } = await scene({ modified: now });
    expect((await endpoint.stat('/f', call)).version).toBeUndefined();
    const old = await scene({});
    expect((await old.endpoint.stat('/f', call)).version).toBeDefined();
  });

  test('that is left early does not disturb the next command, even when the server says two things about it', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RETR: first(2, async ({ say, data }) => {
          say('150 coming');
          const socket = await data();
          socket.write(CONTENT.subarray(0, MIB));
          socket.resume().once('end', () => {
            socket.destroy();
            say('426 you left');
            say('226 closing');
          });
          return true;
        }),
      },
    });
    for (let round = 0; round < 2; round += 1) {
      const source = await endpoint.read('/f', call);
      for await (const _ of source.bytes) break;
    }
    expect((await endpoint.stat('/f', call)).size).toBe(CONTENT.length);
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
    expect(server.open()).toBeLessThanOrEqual(2);
  });

  test('of a range whose bytes come before the server has said that it begins does not mix up the answers', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RETR: async ({ say, data }) => {
          const socket = await data();
          socket.write(CONTENT.subarray(0, MIB));
          await delay(50);
          say('150 coming');
          socket.resume().once('end', () => {
            socket.destroy();
            say('426 you left');
          });
          return true;
        },
      },
    });
    const part = await read(endpoint, '/f', { range: { start: 0, end: 1000 } });
    expect(part.equals(CONTENT.subarray(0, 1000))).toBe(true);
    expect((await endpoint.stat('/f', call)).size).toBe(CONTENT.length);
    expect(server.commands).toContain('NOOP');
  });

  test('that the server says is done at once, without a beginning, is one of nothing', async () => {
    const { endpoint } = await scene({
      files: { '/f': Buffer.alloc(0) },
      answers: {
        RETR: async ({ say, data }) => {
          (await data()).end();
          return say('226 nothing to send');
        },
      },
    });
    expect((await read(endpoint)).length).toBe(0);
    expect((await read(endpoint)).length).toBe(0);
  });

  test('goes to the address of the control connection, whatever PASV says', async () => {
    // The server's PASV names 10.1.2.3.
    const { endpoint, server } = await scene({ answers: { EPSV: saying('500 EPSV not understood') } });
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
    expect(server.commands.filter((line) => line === 'EPSV')).toHaveLength(1);
  });

  test('over IPv6 takes EPSV, and nothing else', async ({ skip }) => {
    const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    if (!addresses.some(({ address }) => address === '::1')) return skip('this machine has no IPv6');
    const { endpoint } = await scene({ address: '::1' });
    expect((await read(endpoint)).equals(CONTENT)).toBe(true);
    const without = await scene({ address: '::1', answers: { EPSV: saying('500 EPSV not understood') } });
    expect((await failure(read(without.endpoint))).code).toBe('unsupported');
    expect(without.server.commands).not.toContain('PASV');
  });

  test('P8 that is canceled ends at once, and holds nothing', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RETR: async ({ say, data }) => {
          say('150 coming');
          (await data()).write(CONTENT.subarray(0, MIB));
          return true;
        },
      },
    });
    const controller = new AbortController();
    const source = await endpoint.read('/f', { signal: controller.signal });
    const reading = failure(collect(source.bytes));
    controller.abort();
    expect((await reading).code).toBe('canceled');
    await expect.poll(() => server.open()).toBe(0);
  });
});

describe('an upload', () => {
  test('F23 that the server breaks off ends with what it says, and leaves nothing', async () => {
    const { endpoint, server } = await scene({
      answers: {
        STOR: async ({ say, data }, path) => {
          server.files.set(path, Buffer.alloc(1));
          say('150 go on');
          const socket = await data();
          socket.once('data', () => {
            say('552 exceeded storage allocation');
            socket.destroy();
          });
          return true;
        },
      },
    });
    const error = await failure(write(endpoint, '/new', Buffer.alloc(64 * MIB)));
    expect(error.code).toBe('no-space');
    expect(partials(server)).toEqual([]);
  });

  test('P6 F23 that the server ends, to say only later what is the matter, ends with what it says', async () => {
    const { endpoint, server } = await scene({
      answers: {
        STOR: async ({ say, data }) => {
          say('150 go on');
          const socket = await data();
          socket.once('data', () => socket.end());
          // When the client has long seen that the connection is gone.
          socket.once('close', () => setTimeout(() => say('552 exceeded storage allocation'), 300));
          socket.resume();
          return true;
        },
      },
    });
    async function* slow() {
      yield Buffer.alloc(MIB);
      await delay(100);
      yield Buffer.alloc(MIB);
    }
    const writing = endpoint.write!('/new', slow(), { ...call, key: KEY, retry: (unit) => unit(never) });
    expect((await failure(writing)).code).toBe('no-space');
    expect(partials(server)).toEqual([]);
  });

  test('P2 of which the server has less than was sent is `size-mismatch`, and leaves nothing', async () => {
    const { endpoint, server } = await scene({
      answers: {
        SIZE: ({ say }, path) => {
          if (!path.includes('.part')) return false;
          say('213 7');
          return true;
        },
      },
    });
    expect((await failure(write(endpoint, '/new', CONTENT))).code).toBe('size-mismatch');
    expect(partials(server)).toEqual([]);
  });

  test('P2 that the server says it has before it has it is not done', async () => {
    const { endpoint } = await scene({
      answers: {
        STOR: async ({ say, data }) => {
          say('150 go on');
          const socket = await data();
          socket.once('data', () => say('226 enough'));
          socket.resume();
          return true;
        },
      },
    });
    async function* slow() {
      yield Buffer.alloc(MIB);
      await delay(100);
      yield Buffer.alloc(MIB);
      await delay(100);
      yield Buffer.alloc(MIB);
    }
    const writing = endpoint.write!('/new', slow(), { ...call, key: KEY, retry: (unit) => unit(never) });
    expect((await failure(writing)).message).toMatch(/said done before/);
  });

  test('F4 P7 that the server does not take any more is `stalled`', async () => {
    const { endpoint } = await scene(
      {
        answers: {
          STOR: async ({ say, data }) => {
            say('150 go on');
            (await data()).pause();
            return true;
          },
        },
      },
      { net: SHORT },
    );
    expect((await failure(write(endpoint, '/new', Buffer.alloc(64 * MIB)))).code).toBe('stalled');
  });

  test('F22 whose RNTO was done, but its answer lost, is done', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RNTO: first(1, ({ from, control }, path) => {
          server.files.set(path, server.files.get(from)!);
          server.files.delete(from);
          control.destroy();
          return true;
        }),
      },
    });
    const staged = await write(endpoint, '/new', CONTENT);
    expect((await staged.commit(never)).size).toBe(CONTENT.length);
    expect(server.files.get('/new')?.equals(CONTENT)).toBe(true);
    expect(server.commands.filter((line) => line.startsWith('RNTO'))).toHaveLength(1);
  });

  test('F22 whose RNTO was not done is renamed by the next try', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RNTO: first(1, ({ control }) => {
          control.destroy();
          return true;
        }),
      },
    });
    await (await write(endpoint, '/new', CONTENT)).commit(never);
    expect(server.files.get('/new')?.equals(CONTENT)).toBe(true);
    expect(partials(server)).toEqual([]);
  });

  test('P1 to a server that does not rename over a file puts that aside first', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RNTO: ({ say }, path) => {
          if (!server.files.has(path)) return false;
          say('550 Cannot create a file when that file already exists.');
          return true;
        },
      },
    });
    await (await write(endpoint, '/f', Buffer.from('new'))).commit(never);
    expect([...server.files.keys()]).toEqual(['/f']);
    expect(String(server.files.get('/f'))).toBe('new');
  });

  test('P1 that can be renamed in no way leaves the old file where it was', async () => {
    const { endpoint, server } = await scene({
      answers: {
        RNTO: ({ say, from }, path) => {
          // Putting aside and back again works; the new one is refused.
          if (path !== '/f' || from.endsWith('.old')) return false;
          say('550 Permission denied');
          return true;
        },
      },
    });
    const staged = await write(endpoint, '/f', Buffer.from('new'));
    const error = await failure(staged.commit(never));
    expect(error.code).toBe('permission-denied');
    expect(error.hint).toMatch(/allowed to rename/);
    expect([...server.files.keys()]).toEqual(['/f']);
    expect(server.files.get('/f')?.equals(CONTENT)).toBe(true);
  });

  test('P4 goes on by APPE where STOR has no REST', async () => {
    const { endpoint, server } = await scene({ answers: { REST: saying('502 no') } });
    const half = MIB;
    let handle = '';
    const onPartial = (given: string) => {
      handle = given;
    };
    const staged = await write(endpoint, '/new', CONTENT.subarray(0, half), { onPartial });
    await staged.abort({ keep: true });
    const claim = await endpoint.partial!('/new', { ...call, key: KEY, handle });
    expect(claim?.ranges).toEqual([{ start: 0, end: half }]);
    const rest = endpoint.write!('/new', once(CONTENT.subarray(half)), {
      ...call,
      key: KEY,
      retry: (unit) => unit(never),
      size: CONTENT.length,
      resume: claim,
    });
    await (await rest).commit(never);
    expect(server.files.get('/new')?.equals(CONTENT)).toBe(true);
    expect(server.commands.some((line) => line.startsWith('APPE'))).toBe(true);
  });

  test('P4 cannot go on in the middle of a partial by APPE: it starts over', async () => {
    const { endpoint } = await scene({ answers: { REST: saying('502 no') } });
    const staged = await write(endpoint, '/new', CONTENT, { onPartial: () => {} });
    await staged.abort({ keep: true });
    const claim = await endpoint.partial!('/new', { ...call, key: KEY });
    const resume = { ...claim!, ranges: [{ start: 0, end: MIB }] };
    const rest = endpoint.write!('/new', once(CONTENT.subarray(MIB)), {
      ...call,
      key: KEY,
      retry: (unit) => unit(never),
      resume,
    });
    expect((await failure(rest)).code).toBe('changed');
  });

  test('S3 goes on with nothing but a name of its own making', async () => {
    const { endpoint, server } = await scene({});
    for (const handle of [
      '../f',
      '/f',
      'f',
      `.bridle-${KEY}-0.part`,
      `.bridle-${KEY}-0123456789abcdef.part/../f`,
    ]) {
      expect(await endpoint.partial!('/new', { ...call, key: KEY, handle })).toBeUndefined();
    }
    expect(server.commands).toEqual([]);
  });

  test('P8 P9 that is canceled takes back what it left', async () => {
    const controller = new AbortController();
    const { endpoint, server } = await scene({});
    async function* bytes() {
      yield Buffer.alloc(MIB);
      controller.abort();
      yield Buffer.alloc(MIB);
    }
    const writing = endpoint.write!('/new', bytes(), {
      signal: controller.signal,
      key: KEY,
      retry: (unit) => unit(never),
    });
    expect((await failure(writing)).code).toBe('canceled');
    expect([...server.files.keys()]).toEqual(['/f']);
  });
});

describe('the conversation', () => {
  test('S4 has no command that a name brought along', async () => {
    const { endpoint, server } = await scene({});
    for (const path of ['/a%0D%0ADELE%20/f', '/a%0aDELE /f', '/a%00b']) {
      for (const asking of [
        endpoint.stat(path, call),
        endpoint.read(path, call),
        write(endpoint, path, Buffer.alloc(1)),
        endpoint.mkdir!(path, call),
        endpoint.remove!(path, call),
        endpoint.move!('/f', path, { ...call, key: KEY }),
        endpoint.digest!(path, ['sha256'], call),
      ]) {
        expect((await failure(asking)).code).toBe('invalid-request');
      }
    }
    expect(server.commands).toEqual([]);
  });

  test('S4 P10 has no command that a password brought along, and does not show it', async () => {
    const secrets = async () => ({ username: 'user', password: 'x\r\nDELE /f' });
    const { endpoint, server } = await scene({}, { secrets });
    const error = await failure(endpoint.stat('/f', call));
    expect(error.code).toBe('invalid-request');
    expect(error.message).not.toMatch(/DELE/);
    expect(server.commands).toEqual([]);
  });

  test('F13 asks for the secret once more when the password is refused, and then no more', async () => {
    const asked: (boolean | undefined)[] = [];
    const { endpoint, server } = await scene(
      {
        answers: {
          PASS: ({ say }, word) => say(word === 'fresh' ? '230 in' : '530 Login incorrect'),
        },
      },
      {
        secrets: async (again) => {
          asked.push(again);
          return { username: 'user', password: again ? 'fresh' : 'stale' };
        },
      },
    );
    expect((await endpoint.stat('/f', call)).size).toBe(CONTENT.length);
    expect(asked).toEqual([undefined, true]);
    expect(server.connections()).toBe(2);
  });

  test('P6 P10 a wrong password is permanent, with a hint, and is not repeated', async () => {
    const { endpoint } = await scene(
      { answers: { PASS: ({ say }, word) => say(`530 Login incorrect for ${word}`) } },
      { secrets: async () => ({ username: 'user', password: 's3cret' }) },
    );
    const error = await failure(endpoint.stat('/f', call));
    expect(error.code).toBe('unauthenticated');
    expect(error.transient).toBe(false);
    expect(error.hint).toMatch(/password is wrong/);
    expect(error.message).not.toMatch(/s3cret/);
  });

  test('without a login is anonymous', async () => {
    const { endpoint, server } = await scene({}, { secrets: async () => ({}) });
    await endpoint.stat('/f', call);
    expect(server.commands.slice(0, 2)).toEqual(['USER anonymous', 'PASS anonymous@']);
  });

  test('P6 one client too many goes on with the connections that it has', async () => {
    const { endpoint, server } = await scene({
      answers: {
        GREETING: ({ say, control }) => {
          if (server.open() <= 1) return false;
          say('421 Too many connections from this address');
          control.end();
          return true;
        },
      },
    });
    const sizes = await Promise.all(
      Array.from({ length: 6 }, async () => (await endpoint.stat('/f', call)).size),
    );
    expect(sizes).toEqual(Array(6).fill(CONTENT.length));
  });

  test('P6 a server that is full for everybody is a transient failure', async () => {
    const { endpoint } = await scene({ answers: { GREETING: saying('421 Too many users, try later') } });
    const error = await failure(endpoint.stat('/f', call));
    expect(error.code).toBe('rate-limited');
    expect(error.transient).toBe(true);
  });

  test('P7 a server that says nothing at all is not waited for without end', async () => {
    const { endpoint } = await scene({ answers: { GREETING: () => true } }, { net: SHORT });
    expect((await failure(endpoint.stat('/f', call))).code).toBe('timed-out');
  });

  test('a connection that the server closed meanwhile is replaced without a failure', async () => {
    const controls: (() => void)[] = [];
    const { endpoint, server } = await scene({
      answers: {
        GREETING: ({ control }) => {
          controls.push(() => control.end('421 idle for too long\r\n'));
          return false;
        },
      },
    });
    await endpoint.stat('/f', call);
    for (const close of controls) close();
    await expect.poll(() => server.open()).toBe(0);
    expect((await endpoint.stat('/f', call)).size).toBe(CONTENT.length);
    expect(server.connections()).toBe(2);
  });

  test('bytes between AUTH and TLS are an attack', async () => {
    const { endpoint, server } = await scene(
      { answers: { AUTH: saying('234 go on\r\n230 you are in already') } },
      { tls: 'required' },
    );
    const error = await failure(endpoint.stat('/f', call));
    expect(error.message).toMatch(/between AUTH and TLS|answered twice/);
    expect(server.commands).toEqual(['AUTH TLS']);
  });

  test('a server without TLS gets no password where TLS is required', async () => {
    const { endpoint, server } = await scene({}, { tls: 'required' });
    const error = await failure(endpoint.stat('/f', call));
    expect(error.code).toBe('unsupported');
    expect(error.hint).toMatch(/BRIDLE_FTP_TLS/);
    expect(server.commands).toEqual(['AUTH TLS']);
  });

  test('a server without TLS gets the password where TLS is tried only', async () => {
    const { endpoint, server } = await scene({}, { tls: 'auto' });
    expect((await endpoint.stat('/f', call)).size).toBe(CONTENT.length);
    expect(server.commands.slice(0, 2)).toEqual(['AUTH TLS', 'USER user']);
  });
});

describe('a listing', () => {
  async function names(endpoint: Endpoint): Promise<string[]> {
    const found: string[] = [];
    for await (const { name, stat, problem } of endpoint.list!('/', call)) {
      found.push(`${stat.type} ${stat.size ?? '-'} ${name}${problem === undefined ? '' : ' !'}`);
    }
    return found;
  }

  function listing(text: string): NonNullable<Script['answers']> {
    const answer: NonNullable<Script['answers']>[string] = async ({ say, data }) => {
      say('150 coming');
      (await data()).end(text, 'latin1');
      say('226 done');
      return true;
    };
    return { MLSD: answer, LIST: answer };
  }

  test('S2 L14 tells names that cannot be believed or asked for, and believes none of them', async () => {
    const lines = ['../up', '/etc/passwd', 'a\nb', 'latin\xe4', '..', 'good one'];
    const text = lines.map((name) => `type=file;size=1; ${name}\r\n`).join('');
    const { endpoint } = await scene({ answers: listing(`${text}garbage\r\n`) });
    expect(await names(endpoint)).toEqual([
      'file 1 ../up !',
      'file 1 /etc/passwd !',
      'file 1 a\nb !',
      'other - garbage !',
      'file 1 good one',
      'file 1 latin\ufffd !',
    ]);
  });

  test('of a server without MLSD is read as people read it', async () => {
    const unix = [
      'total 2',
      'drwxr-xr-x   2 user group     4096 Jan  1  2020 dir one',
      '-rw-r--r--   1 user group       12 Jan  1 10:00 a file',
      'lrwxrwxrwx   1 user group        4 Jan  1 10:00 link -> /etc',
    ];
    const one = await scene({ features: [], answers: listing(unix.join('\r\n')) });
    expect(await names(one.endpoint)).toEqual(['file 12 a file', 'directory - dir one', 'symlink - link']);
    const dos = [
      '01-01-20  10:00AM       <DIR>          dir one',
      '01-01-20  10:00AM                   12 a file',
    ];
    const two = await scene({ features: [], answers: listing(dos.join('\r\n')) });
    expect(await names(two.endpoint)).toEqual(['file 12 a file', 'directory - dir one']);
    const none = await scene({ features: [], answers: listing('') });
    expect(await names(none.endpoint)).toEqual([]);
  });

  test('of a form that nobody knows is `unsupported`, not empty', async () => {
    const { endpoint } = await scene({ features: [], answers: listing('¿que?\r\n') });
    expect((await failure(names(endpoint))).code).toBe('unsupported');
  });

  test('F1 that was cut is no listing', async () => {
    const { endpoint } = await scene({
      answers: {
        MLSD: async ({ say, data }) => {
          say('150 coming');
          (await data()).end('type=file;size=1; a\r\n');
          say('426 broken off');
          return true;
        },
      },
    });
    expect((await failure(names(endpoint))).code).toBe('unavailable');
  });

  test('that runs in a circle ends', async () => {
    const { endpoint } = await scene({ answers: listing('type=dir; again\r\n') });
    const walking = (async () => {
      for await (const _ of endpoint.list!('/', { ...call, recursive: true }));
    })();
    expect((await failure(walking)).message).toMatch(/directories deep/);
  });
});
