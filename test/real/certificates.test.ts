import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type GridDoor,
  type GridUser,
  makeGridUser,
  startGridDoor,
  startProxyVerifier,
} from '../../fixtures/servers/grid.ts';
import { LOGIN, type RunningServer, startServer } from '../../fixtures/servers/servers.ts';
import { bridle, type Ended, scratch } from '../commands/run-command.ts';

const BRIDLE = fileURLToPath(new URL('../../bin/bridle', import.meta.url));
const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));

let door: GridDoor;
let joe: GridUser;
let ann: GridUser;
let users = '';
const running: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  users = fs.mkdtempSync(join(tmpdir(), 'bridle-users-'));
  [door, joe, ann] = await Promise.all([
    startGridDoor(),
    makeGridUser(users, 'joe'),
    makeGridUser(users, 'ann'),
  ]);
  fs.writeFileSync(join(door.files, 'file'), 'of the grid');
});
afterAll(async () => {
  await door?.stop();
  for (const one of running) await one.stop();
  fs.rmSync(users, { recursive: true, force: true });
});

/** Subjects that the door was shown with requests of `path`, once it has noted `count` of them. */
async function subjects(path: string, count: number): Promise<string[]> {
  return vi.waitFor(
    async () => {
      const lines = (await door.shown()).filter((line) => line.includes(` ${path} `));
      expect(lines.length).toBeGreaterThanOrEqual(count);
      return [...new Set(lines.map((line) => line.split(' ').slice(3).join(' ')))];
    },
    { timeout: 10_000, interval: 20 },
  );
}

const list = (items: readonly (readonly [site: string, from: string, to: string])[]): string =>
  JSON.stringify(
    items.map(([site, from, to], at) => ({
      type: 'transfer',
      linkage: 'input',
      lfn: `f${at}`,
      id: at,
      src_urls: [{ site_label: site, url: from }],
      dest_urls: [{ site_label: 'local', url: `file://${to}` }],
    })),
  );

async function transfer(
  items: Parameters<typeof list>[0],
  env: Record<string, string>,
  cwd: string,
): Promise<Ended> {
  return bridle(['transfer'], {
    cwd,
    env: { SSL_CERT_FILE: CA, ...env },
    input: list(items),
  });
}

describe('a proxy certificate (RFC 3820)', () => {
  test.each(['https', 'davs', 'webdavs'])(
    'P10 of a site goes to its requests by %s, the general one to those of others',
    async (scheme) => {
      const cwd = scratch();
      for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(door.files, `${scheme}-${name}`), name);
      const from = (name: string) => `${scheme}://${door.authority}/${scheme}-${name}`;
      const items = [
        ['by-joe', from('a'), join(cwd, 'a')],
        ['by-ann', from('b'), join(cwd, 'b')],
        ['by-ann', from('c'), join(cwd, 'c')],
      ] as const;
      const env = { X509_USER_PROXY: ann.proxy, X509_USER_PROXY_by_joe: joe.delegated };
      const { status, stderr } = await transfer(items, env, cwd);
      expect({ status, stderr }).toMatchObject({ status: 0 });
      expect(fs.readFileSync(join(cwd, 'a'), 'utf8')).toBe('a');
      expect(await subjects(`/${scheme}-a`, 1)).toEqual(['CN=delegated,CN=proxy,CN=joe,O=grid']);
      for (const name of ['b', 'c']) {
        expect(await subjects(`/${scheme}-${name}`, 1)).toEqual(['CN=proxy,CN=ann,O=grid']);
      }
    },
  );

  test('is sent with its chain: a server that verifies proxies accepts it, and refuses that of another authority', async () => {
    const verifier = await startProxyVerifier(joe.authority);
    running.push(verifier);
    const cwd = scratch();
    for (const proxy of [joe.proxy, joe.delegated]) {
      const { status, stdout } = await bridle(['cat', verifier.url], {
        cwd,
        env: { SSL_CERT_FILE: CA, X509_USER_PROXY: proxy },
      });
      expect(status).toBe(0);
      expect(stdout).toMatch(/Subject: .*CN ?= ?joe, CN ?= ?proxy/);
    }
    const { status, stderr } = await bridle(['cat', '--attempts', '1', verifier.url], {
      cwd,
      env: { SSL_CERT_FILE: CA, X509_USER_PROXY: ann.proxy },
    });
    expect(status).toBe(1);
    expect(stderr).toContain('X509_USER_PROXY');
    const output = await verifier.output();
    expect(output).not.toContain('proxy certificates not allowed');
    expect(output).toContain('verify error');
  });

  test('P10 S1 is not shown where a redirect leads', async () => {
    fs.writeFileSync(join(door.files, 'moved'), 'x');
    const got = await bridle(['cat', `https://${door.authority}/away/moved`], {
      cwd: scratch(),
      env: { SSL_CERT_FILE: CA, X509_USER_PROXY: joe.proxy },
    });
    expect(got).toEqual({ status: 0, stdout: 'x', stderr: '' });
    expect(await subjects('/away/moved', 1)).toEqual(['CN=proxy,CN=joe,O=grid']);
    expect(await subjects('/moved', 1)).toEqual(['-']);
  });
});

describe('authorities', () => {
  /** As IGTF lays it out: by hash alone, with what lies beside. */
  function gridDirectory(): string {
    const directory = scratch();
    const hash = execFileSync('openssl', ['x509', '-noout', '-hash', '-in', CA], { encoding: 'utf8' }).trim();
    fs.copyFileSync(CA, join(directory, `${hash}.0`));
    for (const beside of ['signing_policy', 'r0', 'namespaces', 'crl_url']) {
      fs.writeFileSync(join(directory, `${hash}.${beside}`), 'nothing of this is a certificate\n');
    }
    fs.writeFileSync(join(directory, 'policies.signing_policy'), fs.readFileSync(CA, 'latin1').slice(0, 200));
    return directory;
  }

  const places: readonly (readonly [string, () => Promise<string>])[] = [
    ['https', async () => `https://${door.authority}/file`],
    ['davs', async () => `davs://${door.authority}/file`],
    ['ftps', () => ftpUrl('implicit')],
    ['ftp with AUTH TLS', () => ftpUrl('strict')],
  ];
  const started = new Map<string, Promise<RunningServer & { readonly root: string }>>();

  async function ftpUrl(role: 'implicit' | 'strict'): Promise<string> {
    const known = started.get('ftp') ?? startServer('ftp');
    started.set('ftp', known);
    const ftp = (await known) as Awaited<ReturnType<typeof startServer<'ftp'>>>;
    if (!running.includes(ftp)) running.push(ftp);
    fs.writeFileSync(join(ftp.root, 'file'), 'of the grid');
    return `${ftp[role].replace('://', `://${LOGIN.username}:${LOGIN.password}@`)}/file`;
  }

  /** Runs `bridle cat URL` without any variable, where /etc is what it is and `path` ends in the authority of the tests. */
  function catWith(path: string, url: string): { readonly status: number | null; readonly stdout: string } {
    if (process.getuid?.() !== 0) throw new Error('an /etc of its own needs root');
    const script = `set -e
      mount -t tmpfs none "$1"
      mkdir "$1/upper" "$1/aside"
      mount -t overlay none -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/aside" /etc
      mkdir -p "$(dirname "$2")"
      cat "$3" >> "$2"
      exec "$4" cat --attempts 1 "$5"`;
    const cwd = scratch();
    const line = ['-m', 'sh', '-c', script, 'sh', cwd, path, CA, BRIDLE, url];
    return spawnSync('unshare', line, {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: '/nowhere' },
    });
  }

  test.each(['/etc/grid-security/certificates/0a1b2c3d.0', '/etc/ssl/certs/ca-certificates.crt'])(
    'of this machine are trusted without being named, in `%s`',
    (path) => {
      const url = `davs://${door.authority}/file`;
      expect(catWith(path, url)).toMatchObject({ status: 0, stdout: 'of the grid' });
      expect(catWith('/etc/nobody/looks/here.pem', url)).toMatchObject({ status: 1, stdout: '' });
    },
  );

  test.each(places)('of a hashed directory that X509_CERT_DIR names are trusted by %s', async (_, url) => {
    const cwd = scratch();
    const address = await url();
    const got = await bridle(['cat', address], { cwd, env: { X509_CERT_DIR: gridDirectory() } });
    expect(got).toMatchObject({ status: 0, stdout: 'of the grid' });
    const none = await bridle(['cat', '--attempts', '1', address], {
      cwd,
      env: { X509_CERT_DIR: cwd },
    });
    expect(none.status).toBe(1);
    expect(none.stderr).toContain('hint: to trust a CA');
  });
});
