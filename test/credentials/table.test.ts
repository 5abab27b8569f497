import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCredentials } from '../../src/credentials/credentials.ts';
import { at, UID, useScratch } from './scratch.ts';

const scratch = useScratch();
afterEach(() => vi.unstubAllEnvs());

const SITE = 'the-site';
const tls = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'latin1');

/** What the table of the documentation has in one column. */
interface Column {
  readonly schemes: readonly string[];
  /** Places by their number, and those that go along with others by theirs. */
  readonly order: readonly string[];
  readonly along: readonly string[];
}

/** Reads the table: its first column are the places, every other one is about the schemes that its head names. */
function readTable(): { readonly places: readonly string[]; readonly columns: readonly Column[] } {
  const page = readFileSync(new URL('../../docs/credentials.md', import.meta.url), 'utf8');
  const lines = page.slice(page.indexOf('| place | http')).split('\n');
  const rows = lines.slice(0, lines.indexOf('')).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const [head = [], , ...body] = rows;
  const numbered = (index: number, shape: RegExp) =>
    body
      .filter((row) => shape.test(row[index] ?? ''))
      .sort((one, other) => Number(one[index]) - Number(other[index]))
      .map(([place = '']) => place);
  const columns = head.slice(1).map((names, index) => ({
    schemes: names.split(' '),
    order: numbered(index + 1, /^\d+$/),
    along: numbered(index + 1, /^\+\d+$/),
  }));
  return { places: body.map(([place = '']) => place), columns };
}

/** Everything that is there to be found: what the environment says, files below a home, and a login in the URL. */
interface World {
  readonly env: Record<string, string>;
  readonly files: Map<string, string>;
  login: string;
  readonly netrc: Set<string>;
}

/** One row of the table: how it is put there and taken away, and what the product calls it. */
interface Plant {
  put(world: World): void;
  take(world: World): void;
  readonly source: RegExp;
}

const key = String(
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
);
const ACCOUNT = JSON.stringify({ type: 'service_account', client_email: 'a@b', private_key: key });
/** About every host and site of this test. */
const SECTIONS = [
  '[h]\nusername = u\npassword = p',
  '[site]\nendpoint = https://h',
  '[user@site]\naccess_key = k\nsecret_key = s',
  '[s3://bucket]\naccess_key = k\nsecret_key = s',
  '[Credentials]\ngs_service_key_file = @KEY@\n',
].join('\n');
const PROXY = tls('server.pem') + tls('server.key');

const inFile = (name: string, text: string, source: RegExp): Plant => ({
  put: ({ files }) => void files.set(name, text),
  take: ({ files }) => void files.delete(name),
  source,
});
const named = (variable: string, text: string, source = new RegExp(`\\b${variable}$`)): Plant => ({
  put({ env, files }) {
    env[variable] = `FILE ${variable}`;
    files.set(variable, text);
  },
  take: ({ env }) => void delete env[variable],
  source,
});
const said = (variable: string, value: string, source = new RegExp(variable)): Plant => ({
  put({ env }) {
    env[variable] = value;
  },
  take: ({ env }) => void delete env[variable],
  source,
});
const ofNetrc = (entry: string, source: RegExp): Plant => ({
  put: ({ netrc }) => void netrc.add(entry),
  take: ({ netrc }) => void netrc.delete(entry),
  source,
});

const PLANTS: Readonly<Record<string, Plant>> = {
  'the URL: `user:password@`, or a query that grants access': {
    put(world) {
      world.login = 'user:password@';
    },
    take(world) {
      world.login = '';
    },
    source: /^user name in the URL/,
  },
  'a section of the file `PEGASUS_CREDENTIALS_<site>`': named('PEGASUS_CREDENTIALS_the_site', SECTIONS),
  'a section of the file `PEGASUS_CREDENTIALS`': named('PEGASUS_CREDENTIALS', SECTIONS),
  'a section of the file `S3CFG`': named('S3CFG', SECTIONS),
  'a section of `~/.pegasus/credentials.conf`': inFile(
    '.pegasus/credentials.conf',
    SECTIONS,
    /credentials\.conf$/,
  ),
  'a section of `~/.pegasus/s3cfg`': inFile('.pegasus/s3cfg', SECTIONS, /s3cfg$/),
  'a `machine` of netrc (`NETRC`, else `~/.netrc`)': ofNetrc('machine h login u password p', /^netrc$/),
  '`BEARER_TOKEN`': said('BEARER_TOKEN', 'token', /from BEARER_TOKEN$/),
  'the file `BEARER_TOKEN_FILE`': named('BEARER_TOKEN_FILE', 'token'),
  '`$XDG_RUNTIME_DIR/bt_u<uid>`': inFile(`run/bt_u${UID}`, 'token', /run\/bt_u\d+$/),
  '`/tmp/bt_u<uid>`': inFile(`bt_u${UID}`, 'token', /(?<!run)\/bt_u\d+$/),
  'the `default` of netrc': ofNetrc('default login u password p', /^default entry of netrc$/),
  'the file `X509_USER_PROXY_<site>`': named('X509_USER_PROXY_the_site', PROXY),
  'the file `X509_USER_PROXY`': named('X509_USER_PROXY', PROXY),
  '`/tmp/x509up_u<uid>`': inFile(`x509up_u${UID}`, PROXY, /x509up_u\d+$/),
  'the file `SSH_PRIVATE_KEY_<site>`': named('SSH_PRIVATE_KEY_the_site', 'key'),
  'the file `SSH_PRIVATE_KEY`': named('SSH_PRIVATE_KEY', 'key'),
  // ssh's own business: always there.
  'ssh_config, agent, `~/.ssh`': { put: () => {}, take: () => {}, source: /^ssh_config, agent or ~\/\.ssh$/ },
  "the token in apptainer's `remote.yaml`": inFile(
    '.apptainer/remote.yaml',
    'Remotes: {R: {URI: h, Token: t}}',
    /remote\.yaml$/,
  ),
  '`AWS_ACCESS_KEY_ID` and its like': said('AWS_ACCESS_KEY_ID', 'AK'),
  'profiles of AWS, web identity, roles': inFile(
    '.aws/credentials',
    '[default]\naws_access_key_id = k\naws_secret_access_key = s\n',
    /^the AWS profile/,
  ),
  '`STORAGE_EMULATOR_HOST`: nothing is shown': said('STORAGE_EMULATOR_HOST', '127.0.0.1:1'),
  '`GOOGLE_PKCS12_<site>` with a `BOTO_CONFIG`': named(
    'GOOGLE_PKCS12_the_site',
    ACCOUNT,
    /GOOGLE_PKCS12_the_site and/,
  ),
  'the file `GOOGLE_APPLICATION_CREDENTIALS_<site>`': named(
    'GOOGLE_APPLICATION_CREDENTIALS_the_site',
    ACCOUNT,
  ),
  'the file `BOTO_CONFIG_<site>`': named('BOTO_CONFIG_the_site', SECTIONS, /BOTO_CONFIG_the_site$/),
  '`GOOGLE_PKCS12` with a `BOTO_CONFIG`': named('GOOGLE_PKCS12', ACCOUNT, /GOOGLE_PKCS12 and/),
  'the file `GOOGLE_APPLICATION_CREDENTIALS`': named('GOOGLE_APPLICATION_CREDENTIALS', ACCOUNT),
  'the file `BOTO_CONFIG`': named('BOTO_CONFIG', SECTIONS, /BOTO_CONFIG$/),
  'the login of gcloud': inFile(
    '.config/gcloud/application_default_credentials.json',
    ACCOUNT,
    /^the login of gcloud$/,
  ),
  "the machine's own account": said('GCE_METADATA_HOST', 'HOST', /^the machine's own account$/),
};

const URLS: Readonly<Record<string, string>> = {
  's3://user@site': 's3://user@site/b/k',
  's3://bucket': 's3://bucket/k',
  gs: 'gs://b/k',
  library: 'library://h/e/c/f',
};

/** The names of what would be used for a URL of this kind in this world. */
async function sourcesIn(world: World, kind: string): Promise<string[]> {
  const isNetrcThere = world.netrc.size > 0;
  const netrc: readonly [string, string][] = isNetrcThere ? [['.netrc', [...world.netrc].join('\n')]] : [];
  await rm(scratch.directory, { recursive: true });
  for (const [name, text] of [...world.files, ...netrc, ['KEY', ACCOUNT] as const]) {
    await mkdir(dirname(scratch.path(name)), { recursive: true });
    await scratch.write(name, text.replace('@KEY@', scratch.path('KEY')));
  }
  const env = Object.fromEntries(
    Object.entries(world.env).map(([name, value]) => [name, value.replace(/^FILE /, `${scratch.path('')}/`)]),
  );
  const answer = async () =>
    new Response(JSON.stringify({ access_token: 't', expires_in: 60 }), {
      headers: { 'content-type': 'application/json' },
    });
  const credentials = createCredentials({
    env: {
      XDG_RUNTIME_DIR: scratch.path('run'),
      AWS_SECRET_ACCESS_KEY: 's',
      AWS_REGION: 'r',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
      ...env,
    },
    fetch: answer as typeof fetch,
    uid: UID,
    home: scratch.directory,
    shared: scratch.directory,
    warn: () => undefined,
  });
  // Encryption is not what `http` has: this machine is near enough for tokens.
  const host = kind === 'http' || kind === 'dav' || kind === 'webdav' ? 'localhost' : 'h';
  const login = kind === 'sftp' || kind === 'scp' ? '' : world.login;
  const url = URLS[kind] ?? `${kind}://${login}${host}/f`;
  const text = await credentials.describeSource(...at(url, SITE));
  return text.split(/ and (?=certificate)/);
}

const TABLE = readTable();
const KINDS = TABLE.columns.flatMap((column) => column.schemes.map((kind) => ({ kind, ...column })));

test('every place of the table is one that this test knows', () => {
  expect(TABLE.places).toEqual(Object.keys(PLANTS));
  expect(KINDS.map(({ kind }) => kind)).toEqual(
    'http dav webdav https davs webdavs ftp ftps sftp scp s3://user@site s3://bucket gs library'.split(' '),
  );
});

describe('credentials are looked up in the order of the table', () => {
  test.each(KINDS)('for $kind', async ({ kind, order, along }) => {
    const host = await metadataServer();
    vi.stubEnv('GCE_METADATA_HOST', host);
    const world: World = { env: {}, files: new Map(), login: '', netrc: new Set() };
    const isLocal = kind === 'http' || kind === 'dav' || kind === 'webdav';
    const plant = (place: string): Plant => PLANTS[place] ?? expect.fail(`unknown: ${place}`);
    // Everything that the table has, also what is not for this scheme.
    for (const place of TABLE.places) plant(place).put(world);
    world.env.GCE_METADATA_HOST = host;
    if (isLocal) {
      // The same places, about the host that this kind is asked at.
      for (const [name, text] of world.files) world.files.set(name, text.replace('[h]', '[localhost]'));
      world.netrc.delete('machine h login u password p');
      world.netrc.add('machine localhost login u password p');
    }
    const used: string[] = [];
    for (const place of order) {
      const [source = ''] = await sourcesIn(world, kind);
      used.push(plant(place).source.test(source) ? place : `${place}: ${source}`);
      plant(place).take(world);
      if (isLocal && place.includes('machine')) world.netrc.delete('machine localhost login u password p');
    }
    expect(used).toEqual(order);
    for (const place of along) {
      const sources = await sourcesIn(world, kind);
      expect(sources).toEqual([expect.stringMatching(plant(place).source)]);
      plant(place).take(world);
    }
    // Profiles and roles of AWS are looked for in the environment of the process, too.
    if (kind === 's3://bucket' || kind === 's3://user@site' || order.at(-1) === 'ssh_config, agent, `~/.ssh`')
      return;
    expect(await sourcesIn(world, kind)).toEqual(['none']);
  });
});

/** A stand-in for that of Google's machines; gives its `host:port`. */
async function metadataServer(): Promise<string> {
  const server = createServer((_, response) => {
    response.setHeader('metadata-flavor', 'Google');
    response.end(JSON.stringify({ access_token: 't', expires_in: 60 }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
