import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { until } from '../job/jobs.ts';
import { bridle, ended, scratch, start } from './run-command.ts';

const MIB = 1024 * 1024;
const SIZE = 12 * MIB;
const PROCESSES = 8;
const servers: MisbehavingServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(rate?: number): Promise<MisbehavingServer> {
  const server = await startMisbehaving({ content: { size: SIZE }, ...(rate ? { rate } : {}) });
  servers.push(server);
  return server;
}

/** A directory with a list of what the server has. */
function place(server: MisbehavingServer): string {
  const cwd = scratch();
  writeFileSync(join(cwd, 'SUMS'), `${digestOf(server)}  file.bin\n`);
  return cwd;
}

const cp = (server: MisbehavingServer, to: string) =>
  ['cp', '--checksums', 'SUMS', '--cache', 'cache', server.url, to] as const;
const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const digestOf = (server: MisbehavingServer) => server.content().digest('sha256');
const bodies = (server: MisbehavingServer) => server.requests.filter(({ method }) => method === 'GET');

describe('--cache', () => {
  test('what was fetched once is had without asking for it, proven all the same', async () => {
    const server = await serve();
    const cwd = place(server);
    const report = ['--report', 'report.json'];
    const first = await bridle([...cp(server, 'one/file.bin'), ...report], { cwd });
    expect(first).toMatchObject({ status: 0, stderr: expect.stringContaining('1 end-to-end') });
    expect(readFileSync(join(cwd, 'report.json'), 'utf8')).toContain('"kept in the cache"');
    const asked = server.requests.length;
    const second = await bridle([...cp(server, 'two/file.bin'), ...report], { cwd });
    expect(second).toMatchObject({ status: 0, stderr: expect.stringContaining('1 end-to-end') });
    expect(readFileSync(join(cwd, 'report.json'), 'utf8')).toContain('"from the cache"');
    expect(server.requests).toHaveLength(asked);
    expect(hashOf(join(cwd, 'two/file.bin'))).toBe(digestOf(server));
    expect(statSync(join(cwd, 'two/file.bin')).mode & 0o777).toBe(0o666 & ~process.umask());
  });

  test('P2 a file of it that rots is found and dropped, and the bytes come from the source', async () => {
    const server = await serve();
    const cwd = place(server);
    await bridle(cp(server, 'one/file.bin'), { cwd });
    const [name = ''] = readdirSync(join(cwd, 'cache/content')).filter((one) => !one.endsWith('.json'));
    const { mtime, atime } = statSync(join(cwd, 'cache/content', name));
    const path = join(cwd, 'cache/content', name);
    chmodSync(path, 0o600);
    writeFileSync(path, Buffer.alloc(SIZE));
    utimesSync(path, atime, mtime);
    const run = await bridle(cp(server, 'two/file.bin'), { cwd });
    expect(run.status).toBe(0);
    expect(readdirSync(join(cwd, 'cache/content'))).toEqual([]);
    expect(hashOf(join(cwd, 'two/file.bin'))).toBe(digestOf(server));
  });

  test('L10 L13 many processes fetch it once; the one that does is killed, and another goes on where it was', async () => {
    const server = await serve(6 * MIB);
    const cwd = place(server);
    const children: ChildProcess[] = [];
    for (let at = 0; at < PROCESSES; at += 1) {
      // In another directory each: what one leaves at its destination is no help to the others.
      mkdirSync(join(cwd, `${at}`));
      symlinkSync('../SUMS', join(cwd, `${at}/SUMS`));
      children.push(start([...cp(server, 'file.bin'), '--cache', '../cache'], { cwd: join(cwd, `${at}`) }));
    }
    const ends = children.map(ended);
    const claims = join(cwd, 'cache/claims');
    let holder: string | undefined;
    await until(() => {
      holder = fetching(claims);
      return holder !== undefined;
    });
    const pid = Number.parseInt(holder?.slice(9, 17) ?? '', 16);
    const killed = children.findIndex((child) => child.pid === pid);
    children[killed]?.kill('SIGKILL');
    const results = await Promise.all(ends);
    expect(results.filter(({ status }) => status === 0)).toHaveLength(PROCESSES - 1);
    for (const [at, { status }] of results.entries()) {
      if (status === 0) expect(hashOf(join(cwd, `${at}/file.bin`))).toBe(digestOf(server));
    }
    expect(results[killed]?.status).toBe('SIGKILL');
    const [first, second, ...more] = bodies(server).map(({ headers }) => String(headers.range ?? ''));
    expect([first, more]).toEqual(['', []]);
    expect(second).toMatch(/^bytes=[1-9]\d*-$/);
    expect(readdirSync(claims)).toEqual([]);
  });

  test('B2 a directory that cannot be one is bad input, told before anything is fetched', async () => {
    const server = await serve();
    const cwd = place(server);
    writeFileSync(join(cwd, 'cache'), 'a file');
    const run = await bridle(cp(server, 'one/file.bin'), { cwd });
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining('open the cache `') });
    expect(server.requests).toHaveLength(0);
  });

  test('pegasus-transfer keeps what its lists name a checksum of, when BRIDLE_CACHE asks for it', async () => {
    const server = await serve();
    const cwd = scratch();
    const list = (to: string) =>
      JSON.stringify([
        {
          type: 'transfer',
          id: 1,
          lfn: 'file.bin',
          linkage: 'input',
          src_urls: [{ site_label: 'x', url: server.url }],
          dest_urls: [{ site_label: 'local', url: `file://${cwd}/${to}` }],
          checksum: { sha256: digestOf(server) },
        },
      ]);
    const env = { BRIDLE_CACHE: join(cwd, 'cache') };
    for (const to of ['one', 'two']) {
      const run = await bridle([], { cwd, program: 'pegasus-transfer', input: list(to), env });
      expect(run.status).toBe(0);
      expect(hashOf(join(cwd, to))).toBe(digestOf(server));
    }
    expect(bodies(server)).toHaveLength(1);
  });
});

/** Who has fetched a fourth of it. */
function fetching(claims: string): string | undefined {
  try {
    const [name = ''] = readdirSync(claims);
    const [holder = ''] = readdirSync(join(claims, name));
    return statSync(join(claims, name, holder)).size > SIZE / 4 ? holder : undefined;
  } catch {
    // Not there yet.
    return undefined;
  }
}
