import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { type RecordingStore, startRecordingStore } from '../../fixtures/misbehaving/recording-store.ts';
import { end, putImage, putSif, startMemoryRegistry } from '../../fixtures/misbehaving/registry.ts';
import { startScriptedS3 } from '../../fixtures/misbehaving/s3-server.ts';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { startSifServices } from '../../fixtures/misbehaving/sif-services.ts';
import { startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { makeGridUser } from '../../fixtures/servers/grid.ts';
import { createCredentials } from '../../src/credentials/credentials.ts';
import type { SecretsFor } from '../../src/endpoints.ts';
import { hostPlatform } from '../../src/image/platform.ts';
import { parseUrl } from '../../src/location.ts';
import type { Place, TransferRequest } from '../../src/request.ts';
import { afterwards, runAll, scratch, transferOf } from '../faults/scene.ts';
import { scriptedFtp } from '../ftp/scripted.ts';
import { addBucket } from '../gcs-subject.ts';
import { UID } from './scratch.ts';

const TLS = { cert: readCertificate('server.pem'), key: readCertificate('server.key') };
const CA = [readCertificate('ca.pem')];

/** A file as it is at a site. */
type At = readonly [site: string, url: string];

/** Two sides of an item, each under its own site. */
function item([from, to]: readonly [At, At], index: number): TransferRequest {
  const place = ([site, url]: At): Place =>
    url.startsWith('/')
      ? { location: { scheme: 'file', authority: '', path: url, site } }
      : parseUrl(url, { site, env: {} });
  const request = transferOf('/unused', '/unused', { index, lfn: `item ${index}` });
  return { ...request, sources: [place(from)], destinations: [place(to)] };
}

interface Scene {
  readonly directory: string;
  file(name: string, text: string): string;
  /** One run of all items at once with what the environment has to show; every item must succeed. */
  run(items: readonly (readonly [At, At])[], env: Record<string, string>, secretsFor?: Wrap): Promise<void>;
}

type Wrap = (secretsFor: SecretsFor) => SecretsFor;

function scene(): Scene {
  const directory = scratch();
  const file = (name: string, text: string) => {
    fs.writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const fetch = async (_: unknown, init?: { readonly body?: unknown }) => {
    const assertion = new URLSearchParams(String(init?.body ?? '')).get('assertion') ?? '';
    const { iss } = JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString());
    const headers = { 'content-type': 'application/json' };
    return new Response(JSON.stringify({ access_token: `token-of-${iss}`, expires_in: 3599 }), { headers });
  };
  return {
    directory,
    file,
    async run(items, env, wrap = (secretsFor) => secretsFor) {
      const credentials = createCredentials({
        env: { ...decoys(file), ...env },
        fetch: fetch as typeof globalThis.fetch,
        uid: UID,
        home: directory,
        shared: directory,
        warn: () => undefined,
      });
      const { outcomes } = await runAll(items.map(item), {
        secretsFor: wrap(credentials.secretsFor),
        http: { ca: CA, timeouts: { connect: 5, firstByte: 20, stall: 20 } },
        settings: {
          net: {
            connections: 4,
            authorities: async () => CA,
            verifyTls: true,
            warn: () => undefined,
          },
        },
      });
      expect(outcomes.map(({ lfn, failure }) => [lfn, failure?.message])).toEqual(
        outcomes.map(({ lfn }) => [lfn, undefined]),
      );
      expect(outcomes).toHaveLength(items.length);
    },
  };
}

/** What lies around on a machine, and is for nobody here. */
function decoys(file: Scene['file']): Record<string, string> {
  const elsewhere = '[elsewhere]\nusername = decoy\npassword = decoy\n[s3://elsewhere]\naccess_key = DECOY\n';
  const netrc =
    'machine elsewhere login decoy password decoy\nmachine 127.0.0.2 login decoy password decoy\n';
  return {
    NETRC: file('netrc', netrc),
    PEGASUS_CREDENTIALS_elsewhere: file('decoys.conf', elsewhere),
    PEGASUS_CREDENTIALS: file('general.conf', elsewhere),
    X509_USER_PROXY_elsewhere: '/nonexistent/proxy',
    SSH_PRIVATE_KEY: '/nonexistent/key',
    AWS_ACCESS_KEY_ID: 'AKDECOY',
    AWS_SECRET_ACCESS_KEY: 'decoy',
    AWS_SESSION_TOKEN: 'decoy',
    AWS_REGION: 'decoy-1',
    AWS_ENDPOINT_URL: 'http://127.0.0.2:1',
    GOOGLE_APPLICATION_CREDENTIALS_elsewhere: '/nonexistent/account.json',
    METADATA_SERVER_DETECTION: 'none',
  };
}

/** Folders, and everything that said who asks when something in them was asked for. */
function byFolder(store: RecordingStore): Record<string, string[]> {
  const folders: Record<string, Set<string>> = {};
  for (const { path, identities } of store.seen) {
    const folder = path.split('/')[1] ?? '';
    folders[folder] = new Set([...(folders[folder] ?? []), ...identities]);
  }
  return Object.fromEntries(Object.entries(folders).map(([name, all]) => [name, [...all].sort()]));
}

describe.each(['http', 'https', 'dav', 'davs', 'webdav', 'webdavs'])('P10 S1 by %s', (scheme) => {
  const isSecure = scheme.endsWith('s');
  const start = async (options = {}) => {
    const store = await startRecordingStore({ ...(isSecure ? { tls: TLS } : {}), ...options });
    afterwards(store.close);
    return store;
  };

  test('each side of an item shows its own login and no other, redirects and retries included', async () => {
    const { directory, file, run } = scene();
    const away = await start({ isOpen: true });
    const other = await start({ isOpen: true });
    const store = await start({ away: () => `${isSecure ? 'https' : 'http'}://${away.authority}` });
    for (const folder of ['a', 'b', 'c', 'd', 'g']) {
      for (const name of ['in', 'flaky-in', 'moved-in']) {
        store.files.set(`/${folder}/${name}`, Buffer.from(`${folder} ${name}`));
        away.files.set(`/${folder}/in`, Buffer.from(`${folder} away`));
      }
    }
    other.files.set('/o/in', Buffer.from('other'));
    const at = (folder: string, name: string, user = '') =>
      `${scheme}://${user === '' ? '' : `${user}@`}${store.authority}/${folder}/${name}`;
    const local = (name: string): At => ['local', join(directory, name)];
    const [joe, ann] = isSecure
      ? [await makeGridUser(directory, 'joe'), await makeGridUser(directory, 'ann')]
      : [undefined, undefined];
    // Sections about everybody in reach, in every file: the one of the site counts.
    const sections = (who: string, keys: string) =>
      [
        `[${scheme}://${store.authority}]\n${keys}`,
        `[${away.authority}]\nusername = ${who}\npassword = away`,
      ].join('\n');
    await run(
      [
        ...['in', 'flaky-in', 'moved-in'].flatMap((name) => [
          [['a', at('a', name)], local(`a-${name}`)] as const,
          [['site-b', at('b', name)], local(`b-${name}`)] as const,
          [['u', at('c', name, 'carl:secret-c')], local(`c-${name}`)] as const,
          [['u', at('d', name, 'dora:secret-d')], local(`d-${name}`)] as const,
          [['', at('g', name)], local(`g-${name}`)] as const,
        ]),
        [
          ['a', at('a', 'in')],
          ['site-b', at('b', 'from-a')],
        ],
        [
          ['site-b', at('b', 'in')],
          ['a', at('a', 'from-b')],
        ],
        [
          ['u', at('c', 'in', 'carl:secret-c')],
          ['u', at('d', 'from-c', 'dora:secret-d')],
        ],
        [
          ['', at('g', 'in')],
          ['a', at('a', 'from-g')],
        ],
        [['a', `${scheme}://${other.authority}/o/in`], local('o-in')],
      ],
      {
        PEGASUS_CREDENTIALS_a: file(
          'a',
          sections('a', 'username = anna\npassword = secret-a\nheader.X-Own = a\n'),
        ),
        PEGASUS_CREDENTIALS_site_b: file('b', sections('b', 'header.Authorization = Bearer token-b\n')),
        PEGASUS_CREDENTIALS: file('g', sections('g', 'username = gina\npassword = secret-g\n')),
        ...(joe && ann ? { X509_USER_PROXY_a: joe.proxy, X509_USER_PROXY: ann.proxy } : {}),
      },
    );
    const certificate = (name: string) => (isSecure ? [`certificate ${name}/proxy`] : []);
    expect(byFolder(store)).toEqual({
      a: ['basic anna:secret-a', ...certificate('joe'), 'x-own a'],
      b: ['bearer token-b', ...certificate('ann')],
      c: ['basic carl:secret-c', ...certificate('ann')],
      d: ['basic dora:secret-d', ...certificate('ann')],
      g: ['basic gina:secret-g', ...certificate('ann')],
    });
    expect(Object.values(byFolder(away)).flat()).toEqual([]);
    expect(away.seen.filter(({ method }) => method === 'GET').length).toBeGreaterThanOrEqual(5);
    expect(byFolder(other)).toEqual({ o: certificate('joe') });
    expect(fs.readFileSync(join(directory, 'a-flaky-in'), 'utf8')).toBe('a flaky-in');
    expect(fs.readFileSync(join(directory, 'b-moved-in'), 'utf8')).toBe('b away');
    expect(String(store.files.get('/b/from-a'))).toBe('a in');
    expect(String(store.files.get('/d/from-c'))).toBe('c in');
  });

  test('what is for all is for whom nothing else is known, and for nobody behind a redirect', async () => {
    const { directory, file, run } = scene();
    const away = await start({ isOpen: true });
    const store = await start({
      away: () => `${isSecure ? 'https' : 'http'}://${away.authority}`,
      isOpen: true,
    });
    for (const name of ['in', 'moved-in']) store.files.set(`/a/${name}`, Buffer.from('x'));
    away.files.set('/a/in', Buffer.from('x'));
    const at = (name: string): At => ['a', `${scheme}://${store.authority}/a/${name}`];
    const general = {
      BEARER_TOKEN: 'token-for-all',
      NETRC: file('rc', 'default login all password secret\n'),
    };
    await run(
      [
        [at('in'), ['local', join(directory, '1')]],
        [at('moved-in'), ['local', join(directory, '2')]],
      ],
      general,
    );
    expect(byFolder(store)).toEqual({ a: ['bearer token-for-all'] });
    expect(byFolder(away)).toEqual({ a: [] });
  });
});

describe.each(['ftp', 'ftps'])('P10 by %s', (scheme) => {
  test('each side of an item logs in as itself, and its commands go over its own connections', async () => {
    const { directory, file, run } = scene();
    const content = (text: string) => Buffer.from(text);
    const logins = new Map<object, string>();
    const seen = new Map<string, Set<string>>();
    const note = (dialogue: object, path: string) => {
      const folder = path.split('/')[1] ?? '';
      seen.set(folder, (seen.get(folder) ?? new Set()).add(logins.get(dialogue) ?? ''));
      return false;
    };
    const names = ['RETR', 'STOR', 'SIZE', 'MDTM', 'MLST', 'RNFR', 'RNTO', 'DELE', 'MKD'];
    const server = await scriptedFtp({
      ...(scheme === 'ftps' ? { tls: TLS } : {}),
      files: { '/a/in': content('a'), '/b/in': content('b'), '/c/in': content('c'), '/d/in': content('d') },
      answers: {
        USER: (dialogue, name) => void logins.set(dialogue, name),
        PASS: (dialogue, word) => void logins.set(dialogue, `${logins.get(dialogue)}:${word}`),
        ...Object.fromEntries(names.map((name) => [name, note])),
      },
    });
    const authority = server.url.split('://')[1] ?? '';
    const at = (path: string, user = '') =>
      `${scheme}://${user === '' ? '' : `${user}@`}${authority}/${path}`;
    const local = (name: string): At => ['local', join(directory, name)];
    const section = (user: string) =>
      `[${scheme}://${authority}]\nusername = ${user}\npassword = secret-${user}\n[${authority}]\nusername = wrong\n`;
    await run(
      [
        [['a', at('a/in')], local('a')],
        [['b', at('b/in')], local('b')],
        [['u', at('c/in', 'carl:secret-c')], local('c')],
        [['u', at('d/in', 'dora:secret-d')], local('d')],
        [
          ['a', at('a/in')],
          ['b', at('b/from-a')],
        ],
        [
          ['b', at('b/in')],
          ['a', at('a/from-b')],
        ],
        [
          ['u', at('c/in', 'carl:secret-c')],
          ['u', at('d/from-c', 'dora:secret-d')],
        ],
      ],
      {
        PEGASUS_CREDENTIALS_a: file('a.conf', section('anna')),
        PEGASUS_CREDENTIALS_b: file('b.conf', section('bert')),
        BEARER_TOKEN: 'token-for-all',
      },
    );
    expect(Object.fromEntries([...seen].map(([folder, all]) => [folder, [...all]]).sort())).toEqual({
      a: ['anna:secret-anna'],
      b: ['bert:secret-bert'],
      c: ['carl:secret-c'],
      d: ['dora:secret-d'],
    });
    expect(server.commands.join('\n')).not.toMatch(/token-for-all|decoy|wrong/);
    expect(String(server.files.get('/b/from-a'))).toBe('a');
    expect(String(server.files.get('/a/from-b'))).toBe('b');
  });
});

/** TLS in front of a server of this process; gives the port. */
async function tlsFront(port: number): Promise<number> {
  const front = createTlsServer(TLS, (socket) => {
    const inner = connect(port, '127.0.0.1');
    socket.pipe(inner).pipe(socket);
    for (const one of [socket, inner]) one.on('error', () => [socket, inner].map((each) => each.destroy()));
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  afterwards(() => front.close());
  return (front.address() as { readonly port: number }).port;
}

describe.each(['s3', 's3s'])('P10 S1 by %s', (scheme) => {
  test('each side of an item signs with its own keys: two users of a site, two files of keys, and those of AWS', async () => {
    const { directory, file, run } = scene();
    const [service, amazon] = [await startScriptedS3(), await startScriptedS3()];
    afterwards(service.close);
    afterwards(amazon.close);
    let strangers = 0;
    const away = createTcpServer(() => {
      strangers += 1;
    });
    await new Promise<void>((resolve) => away.listen(0, '127.0.0.1', resolve));
    afterwards(() => away.close());
    const awayUrl = `http://127.0.0.1:${(away.address() as { readonly port: number }).port}`;
    const endpointOf = async (url: string) =>
      scheme === 's3' ? url : `https://localhost:${await tlsFront(Number(new URL(url).port))}`;
    const refused = new Set<string>();
    service.setScript(({ path, method }) => {
      if (path.endsWith('/moved')) {
        return {
          status: 307,
          headers: { location: `${awayUrl}${path}` },
          body: '<Error><Code>TemporaryRedirect</Code></Error>',
        };
      }
      if (!path.endsWith('/flaky') || method !== 'GET' || refused.has(path)) return undefined;
      refused.add(path);
      return { status: 503 };
    });
    for (const bucket of ['a', 'b', 'k']) {
      for (const name of ['in', 'flaky'])
        service.store.objects.set(`/${bucket}/${name}`, Buffer.from(`${bucket} ${name}`));
    }
    amazon.store.objects.set('/plain/in', Buffer.from('plain'));
    amazon.store.objects.set('/own/in', Buffer.from('own'));
    const endpoint = await endpointOf(service.url);
    const user = (name: string, key: string) =>
      `[${name}@site]\naccess_key = ${key}\nsecret_key = secret-${key}\n`;
    const site = `[site]\nendpoint = ${endpoint}\nregion = here\n`;
    const local = (name: string): At => ['local', join(directory, name)];
    const of = (name: string, path: string) => `${scheme}://${name}@site/${path}`;
    const env = {
      PEGASUS_CREDENTIALS: file(
        'all',
        site +
          user('ann', 'AKANN') +
          user('bob', 'AKBOB') +
          '[s3://own]\naccess_key = AKOWN\nsecret_key = secret-own\n',
      ),
      PEGASUS_CREDENTIALS_k: file('k', site + user('ann', 'AKOTHER')),
      AWS_ACCESS_KEY_ID: 'AKENV',
      AWS_SECRET_ACCESS_KEY: 'secret-env',
      AWS_SESSION_TOKEN: 'session-env',
      AWS_ENDPOINT_URL: await endpointOf(amazon.url),
      AWS_REGION: 'there',
      BEARER_TOKEN: 'token-for-all',
    };
    await run(
      [
        [['x', of('ann', 'a/in')], local('a')],
        [['x', of('bob', 'b/in')], local('b')],
        [['k', of('ann', 'k/in')], local('k')],
        [['x', of('ann', 'a/flaky')], local('a-flaky')],
        [
          ['x', of('ann', 'a/in')],
          ['x', of('bob', 'b/from-a')],
        ],
        [
          ['x', of('bob', 'b/in')],
          ['k', of('ann', 'k/from-b')],
        ],
        [
          ['k', of('ann', 'k/in')],
          ['x', of('ann', 'a/from-k')],
        ],
        [
          ['x', of('ann', 'a/in')],
          ['x', of('ann', 'a/copied')],
        ],
        [
          ['x', `${scheme}://plain/in`],
          ['x', of('ann', 'a/from-plain')],
        ],
        [['x', `${scheme}://own/in`], local('own')],
      ],
      env,
    );
    const signers = (asked: typeof service.asked) => {
      const found: Record<string, string[]> = {};
      for (const { path, headers } of asked) {
        const bucket = path.split('/')[1] ?? '';
        const key = /Credential=([^/]+)\//.exec(String(headers.authorization))?.[1] ?? 'nobody';
        const token = headers['x-amz-security-token'];
        const shown = token === undefined ? key : `${key} ${String(token)}`;
        found[bucket] = [...new Set([...(found[bucket] ?? []), shown])];
      }
      return found;
    };
    expect(signers(service.asked)).toEqual({ a: ['AKANN'], b: ['AKBOB'], k: ['AKOTHER'] });
    expect(signers(amazon.asked)).toEqual({ plain: ['AKENV session-env'], own: ['AKOWN'] });
    // Of one identity the service copies; nobody's keys reach what belongs to another.
    const copies = service.asked.flatMap(({ headers }) => headers['x-amz-copy-source'] ?? []);
    expect(copies).toEqual(['/a/in']);
    expect(String(service.store.objects.get('/k/from-b'))).toBe('b in');
    expect(JSON.stringify(service.asked.map(({ headers }) => headers))).not.toContain('token-for-all');

    service.store.objects.set('/a/moved', Buffer.from('x'));
    await expect(run([[['x', of('ann', 'a/moved')], local('moved')]], env)).rejects.toThrow();
    expect(strangers).toBe(0);
  });
});

test('P10 by gs each side of an item shows the token of its own account, also to buckets of another', async () => {
  const { directory, file, run } = scene();
  const emulator = await startGcsEmulator();
  afterwards(emulator.close);
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const account = (name: string) =>
    file(
      `${name}.json`,
      JSON.stringify({
        type: 'service_account',
        project_id: 'p',
        private_key: String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })),
        client_email: name,
      }),
    );
  for (const bucket of ['of-a', 'of-b', 'of-all']) {
    addBucket(emulator, bucket);
    emulator.store.put(bucket, 'in', Buffer.from(bucket), {}, new URLSearchParams());
  }
  // More than one request can hold, so that there is a session.
  const large = Buffer.alloc(9 * 1024 * 1024, 'large');
  fs.writeFileSync(join(directory, 'large'), large);
  emulator.turn({ faults: [{ method: 'GET', match: 'of-a/o/in?', status: 503 }] });
  const local = (name: string): At => ['local', join(directory, name)];
  await run(
    [
      [['a', 'gs://of-a/in'], local('a')],
      [['b', 'gs://of-b/in'], local('b')],
      [['c', 'gs://of-all/in'], local('c')],
      [
        ['a', 'gs://of-a/in'],
        ['b', 'gs://of-b/from-a'],
      ],
      [
        ['b', 'gs://of-b/in'],
        ['a', 'gs://of-a/from-b'],
      ],
      [local('large'), ['b', 'gs://of-b/large']],
      [
        ['a', 'gs://of-a/in'],
        ['a', 'gs://of-a/copied'],
      ],
    ],
    {
      GOOGLE_APPLICATION_CREDENTIALS: account('all'),
      GOOGLE_APPLICATION_CREDENTIALS_a: account('a'),
      GOOGLE_APPLICATION_CREDENTIALS_b: account('b'),
      BEARER_TOKEN: 'token-for-all',
    },
    (secretsFor) => async (location, secret, again) => {
      const found = await secretsFor(location, secret, again);
      return { ...found, google: { ...found.google, endpoint: emulator.origin } };
    },
  );
  const shown: Record<string, Set<string>> = {};
  for (const { url, headers } of emulator.requests) {
    const bucket = /\/b\/([^/?]+)/.exec(url)?.[1] ?? '';
    // The URL of a session is a secret of its own, and the only one that it is asked with.
    const kind = url.includes('upload_id=') ? `session of ${bucket}` : bucket;
    shown[kind] ??= new Set();
    shown[kind].add(String(headers.authorization));
  }
  expect(Object.fromEntries(Object.entries(shown).map(([kind, all]) => [kind, [...all]]))).toEqual({
    'of-a': ['Bearer token-of-a'],
    'of-b': ['Bearer token-of-b'],
    'of-all': ['Bearer token-of-all'],
    'session of of-b': ['undefined'],
  });
  expect(emulator.requests.filter(({ url }) => url.includes('rewriteTo'))).toHaveLength(1);
});

describe.each(['docker', 'oci', 'oras'])('P10 S1 by %s', (scheme) => {
  test('each side of an item logs in as itself, a token service and a redirect see no other login', async () => {
    const { directory, file, run } = scene();
    const away = await startMemoryRegistry();
    const registry = await startMemoryRegistry(({ method, url, authorization }, response) => {
      if (authorization === undefined && url !== '/v2/') {
        end(response, 401, { 'www-authenticate': 'Basic realm="r"' }, '');
        return true;
      }
      if (!url.includes('/blobs/') || method !== 'GET') return false;
      end(response, 307, { location: `http://${away.authority}${url}` }, '');
      return true;
    });
    const other = await startMemoryRegistry();
    afterwards(registry.close);
    afterwards(away.close);
    afterwards(other.close);
    for (const to of [registry, away, other]) {
      for (const repository of ['a', 'b', 'u', 'g']) {
        if (scheme === 'oras') putSif(to, { repository, tag: '1' }, Buffer.from('sif'));
        else putImage(to, { repository, tag: '1' }, [Buffer.alloc(512)]);
      }
    }
    const local = (name: string): At => ['local', join(directory, name)];
    const at = (repository: string, user = '') => `${scheme}://${user}${registry.authority}/${repository}:1`;
    const section = (user: string) =>
      `[${registry.authority}]\nusername = ${user}\npassword = secret\n[${away.authority}]\nusername = wrong\npassword = wrong\n`;
    await run(
      [
        [['a', at('a')], local('a')],
        [['site-b', at('b')], local('b')],
        [['x', at('u', 'carl:secret@')], local('u')],
        [['x', at('g')], local('g')],
        [['a', `${scheme}://${other.authority}/a:1`], local('other')],
      ],
      {
        PEGASUS_CREDENTIALS_a: file('a', section('anna')),
        PEGASUS_CREDENTIALS_site_b: file('b', section('bert')),
        PEGASUS_CREDENTIALS: file('g', section('gina')),
        BEARER_TOKEN: 'token-for-all',
      },
    );
    const shown = (asked: typeof registry.asked) => {
      const found: Record<string, Set<string>> = {};
      for (const { url, authorization = '' } of asked) {
        const repository = /^\/v2\/(\w+)\//.exec(url)?.[1] ?? '';
        const login = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString();
        if (login !== '') found[repository] = (found[repository] ?? new Set()).add(login);
      }
      return Object.fromEntries(Object.entries(found).map(([name, all]) => [name, [...all]]));
    };
    expect(shown(registry.asked)).toEqual({
      a: ['anna:secret'],
      b: ['bert:secret'],
      u: ['carl:secret'],
      g: ['gina:secret'],
    });
    expect(away.asked.length).toBeGreaterThanOrEqual(4);
    expect([shown(away.asked), shown(other.asked)]).toEqual([{}, {}]);
  });
});

test('P10 S1 by library each side of an item shows the token of its own, and by shub nobody any', async () => {
  const { directory, file, run } = scene();
  const services = await startSifServices();
  const other = await startSifServices();
  afterwards(services.close);
  afterwards(other.close);
  const arch = hostPlatform().architecture;
  for (const name of ['a/c/in:1', 'b/c/in:1', 'g/c/in:1', 'lab/tool:1']) {
    for (const one of [services, other]) one.put(name, Buffer.from(name), { arch });
  }
  fs.mkdirSync(join(directory, '.apptainer'));
  const remotes = [services.authority, 'cloud.sylabs.io', 'elsewhere.example'].map(
    (uri) => `  r-${uri.replace(/\W/g, '-')}:\n    URI: ${uri}\n    Token: token-of-${uri}\n`,
  );
  const active = 'Active: r-elsewhere-example\n';
  file('.apptainer/remote.yaml', `${active}Remotes:\n${remotes.join('')}`);
  const section = (token: string) =>
    `[${services.authority}]\nheader.Authorization = Bearer ${token}\n[elsewhere.example]\nheader.Authorization = Bearer wrong\n`;
  const local = (name: string): At => ['local', join(directory, name)];
  await run(
    [
      [['a', `library://${services.authority}/a/c/in:1`], local('a')],
      [['site-b', `library://${services.authority}/b/c/in:1`], local('b')],
      [['x', `library://${services.authority}/g/c/in:1`], local('g')],
      [['x', `library://${other.authority}/g/c/in:1`], local('other')],
      [['a', `shub://${services.authority}/lab/tool:1`], local('hub')],
    ],
    {
      PEGASUS_CREDENTIALS_a: file('a', section('of-a')),
      PEGASUS_CREDENTIALS_site_b: file('b', section('of-b')),
      BEARER_TOKEN: 'token-for-all',
    },
  );
  const shown: Record<string, Set<string>> = {};
  for (const { url, authorization } of services.asked) {
    const owner = /^\/(?:v1\/\w+|api\/container)\/(\w+)\//.exec(url)?.[1] ?? url;
    shown[owner] = (shown[owner] ?? new Set()).add(String(authorization));
  }
  expect(Object.fromEntries(Object.entries(shown).map(([owner, all]) => [owner, [...all]]))).toEqual({
    a: ['Bearer of-a'],
    b: ['Bearer of-b'],
    g: [`Bearer token-of-${services.authority}`],
    lab: ['undefined'],
  });
  const away = [...services.stored, ...other.asked, ...other.stored];
  expect(away.length).toBeGreaterThanOrEqual(7);
  expect(away.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
});
