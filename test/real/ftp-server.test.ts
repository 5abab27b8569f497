import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import type { RunningFtp } from '../../fixtures/servers/ftp.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { TransferError } from '../../src/errors.ts';
import { type Entry, type TransferOptions, transfer } from '../../src/index.ts';
import type { Bytes, Endpoint } from '../../src/protocol.ts';
import { afterwards, scratch, sha256 } from '../faults/scene.ts';
import { type FtpMore, ftpEndpoint } from '../ftp-subject.ts';

const MIB = 1024 * 1024;
const KEY = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const never = new AbortController().signal;
const call = { signal: never };
const CA = [readCertificate('ca.pem')];

let server: RunningFtp;
beforeAll(async () => {
  server = await startServer('ftp');
});
afterAll(() => server?.stop());

function put(name: string, content: Uint8Array): string {
  const path = join(server.root, name);
  fs.mkdirSync(dirname(path), { recursive: true });
  fs.writeFileSync(path, content);
  // Long enough ago for its time to stand for its content.
  fs.utimesSync(path, 1_600_000_000, 1_600_000_000);
  return path;
}

function endpoint(base = server.plain, more: FtpMore = {}): Endpoint {
  const made = ftpEndpoint(base, more);
  afterwards(() => made.close?.());
  return made;
}

async function failure(promise: Promise<unknown>): Promise<TransferError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TransferError);
  return error as TransferError;
}

async function collect(bytes: Bytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function withLogin(url: string, login = 'user:secret'): string {
  return url.replace('://', `://${login}@`);
}

function entry(from: string, to: string): Entry {
  return {
    type: 'transfer',
    src_urls: [{ site_label: 'a', url: from }],
    dest_urls: [{ site_label: 'b', url: to }],
  };
}

async function move(from: string, to: string, options: TransferOptions = {}) {
  const { outcomes } = await transfer([entry(from, to)], { ca: CA, ...options });
  return outcomes[0]!;
}

/** What was asked of the server, once it has written that down. */
async function commands(pattern: RegExp): Promise<string[]> {
  return (await server.commands()).filter((line) => pattern.test(line));
}

describe('a login', () => {
  test('of the URL, of the credentials file and of netrc are all taken', async () => {
    put('login', Buffer.from('content'));
    const directory = scratch();
    const to = join(directory, 'got');
    expect((await move(`${withLogin(server.plain)}/login`, to)).status).toBe('done');

    const conf = join(directory, 'credentials.conf');
    fs.writeFileSync(conf, `[${server.implicit}]\nusername = user\npassword = secret\n`, { mode: 0o600 });
    const env = { PEGASUS_CREDENTIALS: conf, HOME: directory };
    expect((await move(`${server.implicit}/login`, to, { env })).status).toBe('done');

    fs.writeFileSync(join(directory, '.netrc'), 'machine 127.0.0.1 login user password secret\n', {
      mode: 0o600,
    });
    expect((await move(`${server.plain}/login`, to, { env: { HOME: directory } })).status).toBe('done');
  });

  test('is anonymous without credentials: that may read and not write', async () => {
    fs.writeFileSync(join(server.pub, 'open'), 'for all');
    const directory = scratch();
    const env = { HOME: directory };
    expect((await move(`${server.plain}/open`, join(directory, 'got'), { env })).status).toBe('done');
    fs.writeFileSync(join(directory, 'mine'), 'x');
    const refused = await move(join(directory, 'mine'), `${server.plain}/mine`, { env });
    expect(refused).toMatchObject({ status: 'failed', failure: { code: 'permission-denied' } });
    expect(refused.attempts).toHaveLength(1);
  });

  test('P6 with a wrong password is refused once, with a hint', async () => {
    const refused = await move(`${withLogin(server.plain, 'user:wrong-s3cret')}/x`, join(scratch(), 'got'));
    expect(refused).toMatchObject({ status: 'failed', failure: { code: 'unauthenticated' } });
    expect(refused.failure?.hint).toMatch(/password is wrong/);
    expect(refused.attempts).toHaveLength(1);
    expect(JSON.stringify(refused)).not.toMatch(/s3cret/);
  });

  test('is kept: many files of one URL with a password need no login each', async () => {
    const names = Array.from({ length: 30 }, (_, n) => `many/${n}`);
    for (const name of names) put(name, Buffer.from(name));
    const directory = scratch();
    const before = (await commands(/ PASS /)).length;
    const requests = names.map((name) => entry(`${withLogin(server.plain)}/${name}`, join(directory, name)));
    const { summary } = await transfer(requests, { threads: 4, ca: CA });
    expect(summary.done).toBe(30);
    const logins = (await commands(/ PASS /)).length - before;
    expect(logins).toBeGreaterThan(0);
    expect(logins).toBeLessThanOrEqual(8);
  });
});

describe('TLS', () => {
  test('protects login and data of an ftp URL with a password, because the server offers it', async () => {
    const tell = endpoint();
    put('tls', Buffer.alloc(2 * MIB, 1));
    const before = (await commands(/ (AUTH TLS|PROT P)/)).length;
    expect((await collect((await tell.read('/tls', call)).bytes)).length).toBe(2 * MIB);
    await expect.poll(async () => (await commands(/ (AUTH TLS|PROT P)/)).length).toBe(before + 2);
  });

  test('is not used with BRIDLE_FTP_TLS=off', async () => {
    put('clear', Buffer.from('x'));
    const before = (await commands(/ AUTH/)).length;
    const tell = endpoint(server.plain, { tls: 'off' });
    await tell.stat('/clear', call);
    expect((await commands(/ AUTH/)).length).toBe(before);
  });

  test('that the server demands is named in the hint when it is off', async () => {
    const error = await failure(endpoint(server.strict, { tls: 'off' }).stat('/', call));
    expect(error.code).toBe('permission-denied');
    expect(error.hint).toMatch(/ftps|BRIDLE_FTP_TLS=required/);
  });

  test('is turned to for an anonymous login that the server refuses without it', async () => {
    const error = await failure(endpoint(server.strict, { secrets: async () => ({}) }).stat('/', call));
    // It has no anonymous user; what matters is that it was asked under TLS.
    expect(error.code).toBe('unauthenticated');
    expect(error.hint).toMatch(/no anonymous login/);
  });

  test.each(['strict', 'implicit'] as const)(
    'S11 with a certificate that nobody trusts is refused, with a hint (%s)',
    async (role) => {
      const net = { authorities: async () => [] };
      const error = await failure(endpoint(server[role], { net }).stat('/', call));
      expect(error.code).toBe('permission-denied');
      expect(error.hint).toMatch(/--ca FILE/);
    },
  );

  test('S11 with a certificate for another name is refused', async () => {
    // 127.0.0.2 is this machine too, and not in the certificate.
    const base = server.strict.replace('localhost', '127.0.0.2');
    const proxy = await startFaultProxy({ port: Number(new URL(base).port) }, [], '127.0.0.2');
    afterwards(() => proxy.close());
    const error = await failure(endpoint(`ftp://127.0.0.2:${proxy.port}`).stat('/', call));
    expect(error.code).toBe('permission-denied');
    expect(error.message).toMatch(/certificate/);
  });

  test('is accepted unverified where the section says so, with a warning', async () => {
    const warnings: string[] = [];
    const tell = endpoint(server.implicit, {
      secrets: async () => ({ username: 'user', password: 'secret', verifyTls: false }),
      net: { authorities: async () => [], warn: (_, message) => void warnings.push(message) },
    });
    expect((await tell.stat('/', call)).type).toBe('directory');
    expect(warnings.join()).toMatch(/NOT verified/);
  });

  test('from the first byte on a port that does not speak it is a failure that ends', async () => {
    const base = server.plain.replace('ftp:', 'ftps:').replace('127.0.0.1', 'localhost');
    expect((await failure(endpoint(base).stat('/', call))).code).toBe('unavailable');
  });
});

describe('an upload', () => {
  test('P4 goes on behind what an earlier process left, whose bytes can be read back', async () => {
    const content = Buffer.from(Array.from({ length: 3 * MIB }, (_, n) => (n * 7) % 251));
    async function* chunks(from: number, to: number) {
      for (let at = from; at < to; at += MIB) yield content.subarray(at, Math.min(to, at + MIB));
    }
    const whole = { ...call, key: KEY, retry: <T>(unit: (signal: AbortSignal) => Promise<T>) => unit(never) };
    let handle = '';
    const first = ftpEndpoint(server.plain);
    const staged = await first.write!('/resumed', chunks(0, 2 * MIB), {
      ...whole,
      onPartial: (given) => {
        handle = given;
      },
    });
    await staged.abort({ keep: true });
    await first.close?.();

    const second = endpoint();
    const claim = (await second.partial!('/resumed', { ...call, key: KEY, handle }))!;
    expect(claim.ranges).toEqual([{ start: 0, end: 2 * MIB }]);
    const back = await claim.read!(call);
    expect((await collect(back.bytes)).equals(content.subarray(0, 2 * MIB))).toBe(true);
    const rest = await second.write!('/resumed', chunks(2 * MIB, 3 * MIB), {
      ...whole,
      size: content.length,
      resume: claim,
    });
    await rest.commit(never);
    expect(fs.readFileSync(join(server.root, 'resumed')).equals(content)).toBe(true);
  });

  test('S3 L4 replaces a link at the destination, not what it leads to', async () => {
    const target = put('linked-to', Buffer.from('target'));
    fs.symlinkSync('linked-to', join(server.root, 'link'));
    const source = join(scratch(), 'f');
    fs.writeFileSync(source, 'new');
    expect((await move(source, `${withLogin(server.plain)}/link`)).status).toBe('done');
    expect(fs.readFileSync(target, 'utf8')).toBe('target');
    expect(fs.readFileSync(join(server.root, 'link'), 'utf8')).toBe('new');
  });

  test('L4 to the name of a directory is refused, and leaves nothing', async () => {
    fs.mkdirSync(join(server.root, 'taken'));
    const source = join(scratch(), 'f');
    fs.writeFileSync(source, 'new');
    const outcome = await move(source, `${withLogin(server.plain)}/taken`);
    expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'already-exists' } });
    expect(fs.readdirSync(server.root).filter((name) => name.includes('.bridle'))).toEqual([]);
  });

  test('keeps that a file can be run', async () => {
    const source = join(scratch(), 'run');
    fs.writeFileSync(source, '#!/bin/sh\n', { mode: 0o755 });
    expect((await move(source, `${withLogin(server.plain)}/run`)).status).toBe('done');
    expect(fs.statSync(join(server.root, 'run')).mode & 0o777).toBe(0o755);
  });
});

describe('a tree', () => {
  test('S2 removed with everything below does not lose what links in it lead to', async () => {
    put('outside/kept', Buffer.from('kept'));
    put('inside/a/b/file', Buffer.from('x'));
    fs.symlinkSync('../outside', join(server.root, 'inside/dir-link'));
    fs.symlinkSync('../../outside/kept', join(server.root, 'inside/a/file-link'));
    fs.symlinkSync('nowhere', join(server.root, 'inside/dangling'));
    await endpoint().remove!('/inside', { ...call, recursive: true });
    expect(fs.existsSync(join(server.root, 'inside'))).toBe(false);
    expect(fs.readFileSync(join(server.root, 'outside/kept'), 'utf8')).toBe('kept');
  });

  test('has links to files as files of their size, and does not enter links to directories', async () => {
    put('walk/dir/file', Buffer.from('12345'));
    fs.symlinkSync('dir', join(server.root, 'walk/dir-link'));
    fs.symlinkSync('dir/file', join(server.root, 'walk/file-link'));
    const found: string[] = [];
    for await (const { name, stat } of endpoint().list!('/walk', { ...call, recursive: true })) {
      found.push(`${stat.type} ${stat.type === 'file' ? stat.size : '-'} ${name}`);
    }
    expect(found).toEqual(['directory - dir', 'file 5 dir/file', 'symlink - dir-link', 'file 5 file-link']);
    expect((await endpoint().stat('/walk/file-link', call)).size).toBe(5);
  });

  test.each([
    ['/outside/kept', 'invalid-request', 'a file'],
    ['/', 'invalid-request', 'a directory'],
  ])('digest and read of `%s` do what they can', async (path, code, what) => {
    if (what === 'a directory') {
      expect((await failure(endpoint().read(path, call))).code).toBe(code);
      expect((await failure(endpoint().digest!(path, ['sha256'], call))).code).toBe(code);
      return;
    }
    const content = Buffer.from('kept');
    put('outside/kept', content);
    const digests = await endpoint().digest!(path, ['sha256', 'md5', 'sha1', 'sha512', 'crc32'], call);
    expect(digests.map(({ algorithm }) => algorithm)).toEqual(['sha256', 'md5', 'sha1', 'sha512', 'crc32']);
    expect(digests[0]?.value).toBe(sha256(content));
  });
});

describe('an old server', () => {
  test('without FEAT, EPSV, MLSD and TLS is read, listed and written', async () => {
    put('old/sub dir/file', Buffer.from('12345'));
    put('old/.hidden', Buffer.from('1'));
    const old = endpoint(server.old);
    const found: string[] = [];
    for await (const { name, stat } of old.list!('/old', { ...call, recursive: true })) {
      found.push(`${stat.type} ${name}`);
    }
    expect(found).toEqual(['file .hidden', 'directory sub dir', 'file sub dir/file']);
    const source = await old.read('/old/sub%20dir/file', call);
    expect(String(await collect(source.bytes))).toBe('12345');
    expect((await old.stat('/old/sub%20dir', call)).type).toBe('directory');
    const from = join(scratch(), 'f');
    fs.writeFileSync(from, 'new');
    expect((await move(from, `${withLogin(server.old)}/old/new/deep/file`)).status).toBe('done');
    expect(fs.readFileSync(join(server.root, 'old/new/deep/file'), 'utf8')).toBe('new');
    await old.remove!('/old', { ...call, recursive: true });
    expect(fs.existsSync(join(server.root, 'old'))).toBe(false);
  });
});

describe('many at a time', () => {
  test('P7 files from the server to itself do not wait for one another without end', async () => {
    const names = Array.from({ length: 24 }, (_, n) => `self/${n}`);
    for (const name of names) put(name, Buffer.alloc(100_000, name));
    const base = withLogin(server.plain);
    const requests = names.map((name) => entry(`${base}/${name}`, `${base}/copy/${name}`));
    const { summary } = await transfer(requests, { threads: 8, perHost: 2, ca: CA });
    expect(summary.done).toBe(24);
    for (const name of names) {
      expect(fs.readFileSync(join(server.root, 'copy', name)).equals(Buffer.alloc(100_000, name))).toBe(true);
    }
  });
});

describe('faults before the server', () => {
  async function behindProxy() {
    const proxy = await startFaultProxy({ port: Number(new URL(server.plain).port) });
    afterwards(() => proxy.close());
    return { proxy, base: withLogin(`ftp://127.0.0.1:${proxy.port}`) };
  }
  const quick: TransferOptions = {
    env: { BRIDLE_FTP_TLS: 'off' },
    timeouts: { connect: 2, firstByte: 2, stall: 1 },
    random: () => 0,
  };

  test.each([
    ['F25 a control connection that is refused', { greet: 'refuse' as const }],
    ['F4 a control connection that says nothing', { greet: 'silent' as const }],
    [
      'F2 a control connection that is reset in the login',
      { break: { direction: 'down' as const, at: 100, how: 'reset' as const } },
    ],
  ])('%s is tried again', async (_, rule) => {
    const content = Buffer.alloc(500_000, 'fault');
    put('fault', content);
    const { proxy, base } = await behindProxy();
    proxy.setRules([rule]);
    const to = join(scratch(), 'got');
    const outcome = await move(`${base}/fault`, to, quick);
    expect(outcome.status).toBe('done');
    expect(outcome.attempts.length).toBeGreaterThan(1);
    expect(fs.readFileSync(to).equals(content)).toBe(true);
  });

  test('P2 a download whose control connection is cut anywhere is whole in the end', async () => {
    const content = Buffer.alloc(300_000, 'cut');
    put('fault', content);
    const directory = scratch();
    for (let at = 600; at < 1000; at += 50) {
      const { proxy, base } = await behindProxy();
      proxy.setRules([{ break: { direction: 'down', at, how: 'close' } }]);
      const to = join(directory, String(at));
      expect((await move(`${base}/fault`, to, quick)).status).toBe('done');
      expect(fs.readFileSync(to).equals(content)).toBe(true);
      expect(proxy.counts().connections).toBeGreaterThan(0);
    }
  });

  test('P1 an upload whose control connection is cut anywhere is whole or absent, and leaves nothing behind', async () => {
    const content = Buffer.alloc(300_000, 'cut');
    const source = join(scratch(), 'f');
    fs.writeFileSync(source, content);
    for (let at = 700; at < 1400; at += 60) {
      const { proxy, base } = await behindProxy();
      proxy.setRules([{ break: { direction: 'down', at, how: 'close' } }]);
      const outcome = await move(source, `${base}/cut/${at}`, quick);
      expect(outcome.status).toBe('done');
      expect(fs.readFileSync(join(server.root, 'cut', String(at))).equals(content)).toBe(true);
    }
    const left = fs.readdirSync(join(server.root, 'cut')).filter((name) => name.startsWith('.'));
    expect(left).toEqual([]);
  });
});
