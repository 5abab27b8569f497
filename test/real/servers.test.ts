import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { findProgram, launch, listens } from '../../fixtures/servers/launch.ts';
import {
  LOGIN,
  type RunningNginx,
  type RunningSquid,
  serverNames,
  startServer,
} from '../../fixtures/servers/servers.ts';
import { JAILS } from '../../fixtures/servers/sshd.ts';

const SUPERVISE = fileURLToPath(new URL('../../fixtures/servers/supervise.sh', import.meta.url));
const BASIC = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** One request; with `proxy`, in the form that proxies take. */
async function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string; proxy?: string } = {},
): Promise<Answer> {
  const target = new URL(url);
  const common = { method: options.method ?? 'GET', headers: options.headers ?? {}, agent: false as const };
  const sending = options.proxy
    ? request(options.proxy, {
        ...common,
        path: url,
        setHost: false,
        headers: { ...common.headers, host: target.host },
      })
    : target.protocol === 'https:'
      ? requestTls(target, { ...common, ca: readCertificate('ca.pem') })
      : request(target, common);
  sending.end(options.body);
  const [response] = await once(sending, 'response');
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode, headers: response.headers, text };
}

describe('nginx', () => {
  let nginx: RunningNginx;

  beforeAll(async () => {
    nginx = await startServer('nginx');
    await writeFile(join(nginx.root, 'a.txt'), '0123456789');
  });
  afterAll(() => nginx?.stop());

  test('serves files and ranges over http and https', async () => {
    expect((await ask(`${nginx.http}/a.txt`)).text).toBe('0123456789');
    const middle = await ask(`${nginx.https}/a.txt`, { headers: { range: 'bytes=2-4' } });
    expect(middle).toMatchObject({ status: 206, text: '234' });
  });

  test.each([
    ['auth/a.txt', 401],
    ['slow/a.txt', 200],
    ['redirect/a.txt', 302],
    ['redirect301/a.txt', 301],
    ['redirect307/a.txt', 307],
    ['redirect308/a.txt', 308],
    ['redirect-host/a.txt', 302],
    ['to-tls/a.txt', 302],
    ['loop/', 302],
    ['busy/', 503],
    ['busy-date/', 503],
    ['429/', 429],
    ['status/403/', 403],
    ['status/404/', 404],
    ['status/500/', 500],
    ['status/504/', 504],
  ])('`/-/%s` answers %d', async (path, status) => {
    expect((await ask(`${nginx.http}/-/${path}`)).status).toBe(status);
  });

  test('lets the right password in', async () => {
    const answer = await ask(`${nginx.http}/-/auth/a.txt`, { headers: { authorization: BASIC } });
    expect(answer.status).toBe(200);
  });

  test('leaves out what the location says: ranges, tags, lengths', async () => {
    const ranged = { headers: { range: 'bytes=1-' } };
    expect((await ask(`${nginx.http}/-/norange/a.txt`, ranged)).status).toBe(200);
    expect((await ask(`${nginx.http}/-/noetag/a.txt`)).headers).not.toHaveProperty('etag');
    expect((await ask(`${nginx.http}/-/chunked/a.txt`)).headers['transfer-encoding']).toBe('chunked');
    const open = await ask(`${nginx.http}/-/nolength/a.txt`);
    expect(open.headers).not.toHaveProperty('content-length');
    expect(open.text).toBe('0123456789');
    const gzip = await ask(`${nginx.http}/-/gzip/a.txt`, { headers: { 'accept-encoding': 'gzip' } });
    expect(gzip.headers['content-encoding']).toBe('gzip');
  });

  test('closes without an answer where it is told to', async () => {
    await expect(ask(`${nginx.http}/-/cut/`)).rejects.toThrow(/socket hang up|ECONNRESET/);
  });

  test('stores, copies, moves and deletes by WebDAV', async () => {
    const at = (path: string) => `${nginx.http}/-/dav/${path}`;
    expect((await ask(at('d/'), { method: 'MKCOL' })).status).toBe(201);
    expect((await ask(at('d/x'), { method: 'PUT', body: 'hello' })).status).toBe(201);
    expect((await ask(at('d/x'), { method: 'COPY', headers: { destination: at('d/y') } })).status).toBe(204);
    expect((await ask(at('d/x'), { method: 'MOVE', headers: { destination: at('d/z') } })).status).toBe(204);
    expect((await ask(at('d/y'), { method: 'DELETE' })).status).toBe(204);
    expect(await readdir(join(nginx.dav, 'd'))).toEqual(['z']);
  });

  test('tells what it was asked', async () => {
    await ask(`${nginx.http}/a.txt?mark`, { headers: { authorization: 'Bearer x', range: 'bytes=1-2' } });
    const logged = async () => (await nginx.requests()).find((line) => line.uri === '/a.txt?mark');
    await expect.poll(logged).toMatchObject({
      status: 206,
      sent: 2,
      authorization: 'Bearer x',
      range: 'bytes=1-2',
      host: new URL(nginx.http).host,
    });
  });
});

describe('squid', () => {
  let nginx: RunningNginx;
  let squid: RunningSquid;

  beforeAll(async () => {
    [nginx, squid] = await Promise.all([startServer('nginx'), startServer('squid')]);
    await writeFile(join(nginx.root, 'a.txt'), 'old');
  });
  afterAll(async () => {
    await Promise.all([nginx?.stop(), squid?.stop()]);
  });

  test('lets requests through, and tells who made them', async () => {
    const url = `${nginx.http}/a.txt?through`;
    expect((await ask(url, { proxy: squid.open })).status).toBe(200);
    await expect.poll(squid.log).toEqual([expect.stringContaining(`GET ${url}`)]);
  });

  test('wants the password on its second port', async () => {
    const url = `${nginx.http}/a.txt`;
    expect((await ask(url, { proxy: squid.login })).status).toBe(407);
    const headers = { 'proxy-authorization': BASIC };
    expect((await ask(url, { proxy: squid.login, headers })).status).toBe(200);
  });

  test('F28 gives out a stale copy on its third port, and only there', async () => {
    const url = `${nginx.http}/a.txt`;
    expect((await ask(url, { proxy: squid.stale })).text).toBe('old');
    await writeFile(join(nginx.root, 'a.txt'), 'new');
    expect((await ask(url, { proxy: squid.stale })).text).toBe('old');
    expect((await ask(url, { proxy: squid.open })).text).toBe('new');
  });
});

describe('a server', () => {
  test('that is stopped leaves neither process nor directory', async () => {
    const nginx = await startServer('nginx');
    await nginx.stop();
    await expect(ask(nginx.http)).rejects.toThrow('ECONNREFUSED');
    await expect(readdir(nginx.directory)).rejects.toThrow('ENOENT');
    await nginx.stop();
  });

  test('P9 ends with the process that started it, also when that one is killed', async () => {
    // The holder of the pipe, as a test process is, that dies without a word.
    const script = `
      const { spawn } = require('node:child_process');
      const child = spawn('/bin/sh', [${JSON.stringify(SUPERVISE)}, 'sleep', '1000'],
        { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
      console.log(child.pid);
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = await once(createInterface({ input: holder.stdout }), 'line');
    expect(isRunning(Number(pid))).toBe(true);
    holder.kill('SIGKILL');
    await expect.poll(() => isRunning(Number(pid)), { timeout: 10_000 }).toBe(false);
  });

  test('P9 takes with it what it has started itself, as the registry does', async () => {
    const line = [SUPERVISE, '/bin/sh', '-c', 'sleep 1000 & echo $!; exec sleep 1000'];
    const script = `
      const { spawn } = require('node:child_process');
      spawn('/bin/sh', ${JSON.stringify(line)}, { detached: true, stdio: ['pipe', 'inherit', 'ignore'] });
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = await once(createInterface({ input: holder.stdout }), 'line');
    expect(isRunning(Number(pid))).toBe(true);
    holder.kill('SIGKILL');
    await expect.poll(() => isRunning(Number(pid)), { timeout: 10_000 }).toBe(false);
  });

  test('P9 takes with it what lies elsewhere, however its starter ends', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'bridle-elsewhere-'));
    await writeFile(join(elsewhere, 'f'), '');
    const line = [SUPERVISE, '-r', elsewhere, 'sleep', '1000'];
    const script = `
      const { spawn } = require('node:child_process');
      spawn('/bin/sh', ${JSON.stringify(line)}, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
      console.log('started');
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(createInterface({ input: holder.stdout }), 'line');
    expect(existsSync(elsewhere)).toBe(true);
    holder.kill('SIGKILL');
    await expect.poll(() => existsSync(elsewhere), { timeout: 10_000 }).toBe(false);
  });

  test('P9 that is an sshd and does not come up leaves no jail', async () => {
    const own = `bridle-jail-${process.pid}-`;
    const jails = () => JAILS.flatMap((path) => readdirSync(path).filter((name) => name.startsWith(own)));
    const sshd = await startServer('sshd');
    expect(jails()).toHaveLength(process.getuid?.() === 0 ? 1 : 0);
    await sshd.stop();
    await expect(startServer('sshd', { sshdConfig: 'NoSuchOption yes' })).rejects.toThrow(/NoSuchOption/);
    expect(jails()).toEqual([]);
  });

  test('that does not come up says why', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'bridle-down-'));
    const command = ['/bin/sh', '-c', 'echo no such luck; exit 3'];
    await expect(launch({ directory, command, ports: [1] })).rejects.toThrow(/it ended\nno such luck/);
    await rm(directory, { recursive: true });
  });

  test('whose name nobody knows is refused', () => {
    expect(() => findProgram('apache')).toThrow('unknown name `apache`');
  });
});

/** What is left of an ended process until it is reaped does not count. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('by hand', () => {
  const CLI = fileURLToPath(new URL('../../fixtures/servers/cli.mjs', import.meta.url));

  /** Runs the command line with a temporary directory of its own, so that nobody's servers are ended. */
  async function byHand(TMPDIR: string, ...args: string[]) {
    const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, TMPDIR } });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    child.stderr.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    const [status] = await once(child, 'close');
    return { status, text };
  }

  test.each(serverNames())('%s starts, goes on, and ends when it is told', async (name) => {
    const directory = await mkdtemp(join(tmpdir(), 'bridle-by-hand-test-'));
    // Servers that drop root must be able to walk through.
    await chmod(directory, 0o755);
    try {
      const started = await byHand(directory, 'start', name);
      expect(started).toMatchObject({ status: 0 });
      const ports = [...started.text.matchAll(/:\/\/[\w.]+:(\d+)/g)].map(([, port]) => Number(port));
      const pid = Number(/^pid: (\d+)$/m.exec(started.text)?.[1]);
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      for (const port of ports) expect(await listens(port)).toBe(true);
      const jail: { readonly root: string } | undefined = JSON.parse(
        /^jail: (\{.*\})$/m.exec(started.text)?.[1] ?? 'null',
      );
      expect(await byHand(directory, 'stop', name)).toEqual({ status: 0, text: '' });
      if (jail) expect(existsSync(jail.root)).toBe(false);
      for (const port of ports) expect(await listens(port)).toBe(false);
      expect((await byHand(directory, 'stop', name)).text).toMatch(/was not started here/);
      expect(await readdir(join(directory, `bridle-by-hand-${process.getuid?.() ?? 0}`))).toEqual([]);
    } finally {
      await byHand(directory, 'stop', name);
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('a second start ends the first', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'bridle-by-hand-test-'));
    await chmod(directory, 0o755);
    try {
      const first = await byHand(directory, 'start', 'nginx');
      const port = Number(/^http: .*:(\d+)$/m.exec(first.text)?.[1]);
      expect(await listens(port)).toBe(true);
      expect((await byHand(directory, 'start', 'nginx')).status).toBe(0);
      expect(await listens(port)).toBe(false);
    } finally {
      await byHand(directory, 'stop', 'nginx');
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('names what there is when it is asked for something else', async () => {
    const { status, text } = await byHand(tmpdir(), 'start', 'nothing');
    expect(status).toBe(1);
    expect(text).toMatch(new RegExp(serverNames().join(', ')));
  });
});
