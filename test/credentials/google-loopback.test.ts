import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCredentials } from '../../src/credentials/credentials.ts';
import { gcsScene, store } from '../gcs-subject.ts';
import { at, errorOf, everythingIn, MARK, UID, useScratch } from './scratch.ts';

const scratch = useScratch();
afterEach(() => vi.unstubAllEnvs());

const never = new AbortController().signal;
const SUBJECT = `subject-${MARK}`;

/** Google's services that give tokens, on 127.0.0.1: STS, OAuth, a metadata server, and one that gives subject tokens. */
async function startGoogle() {
  const asked: { readonly path: string; readonly body: URLSearchParams }[] = [];
  const tokens = { given: 0, isStuck: false, refusal: undefined as object | undefined };
  const server = createServer(async (request, response) => {
    const path = request.url?.split('?')[0] ?? '';
    asked.push({ path, body: new URLSearchParams(await text(request)) });
    response.setHeader('content-type', 'application/json');
    response.setHeader('metadata-flavor', 'Google');
    if (path === '/subject') return void response.end(JSON.stringify({ token: SUBJECT }));
    if (tokens.refusal) return void response.writeHead(400).end(JSON.stringify(tokens.refusal));
    if (!tokens.isStuck || tokens.given === 0) tokens.given += 1;
    const granted = { access_token: `token-${MARK}-${tokens.given}`, expires_in: 3600 };
    const type = 'urn:ietf:params:oauth:token-type:access_token';
    response.end(JSON.stringify({ ...granted, token_type: 'Bearer', issued_token_type: type }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { host, asked, tokens };
}
type Google = Awaited<ReturnType<typeof startGoogle>>;

const workload = (host: string, source: object) => ({
  type: 'external_account',
  audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  token_url: `http://${host}/v1/token`,
  credential_source: source,
});

async function account(name: string, content: object): Promise<string> {
  const path = scratch.path(name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(content));
  await chmod(path, 0o600);
  return path;
}

/** Each gives the variables, and what is asked at Google for one token. */
const ACCOUNTS: readonly {
  readonly name: string;
  readonly asks: readonly string[];
  prepare(google: Google): Promise<Readonly<Record<string, string>>>;
}[] = [
  {
    name: 'workload identity, the token in a file',
    asks: ['/v1/token'],
    prepare: async ({ host }) => {
      const file = await scratch.write('subject', SUBJECT);
      return { GOOGLE_APPLICATION_CREDENTIALS: await account('key.json', workload(host, { file })) };
    },
  },
  {
    name: 'workload identity, the token from a URL',
    asks: ['/subject', '/v1/token'],
    prepare: async ({ host }) => {
      const format = { type: 'json', subject_token_field_name: 'token' };
      const source = { url: `http://${host}/subject`, headers: { 'x-of': MARK }, format };
      return { GOOGLE_APPLICATION_CREDENTIALS: await account('key.json', workload(host, source)) };
    },
  },
  {
    name: 'the metadata server',
    asks: ['/computeMetadata/v1/instance/service-accounts/default/token'],
    prepare: async ({ host }) => ({ GCE_METADATA_HOST: host }),
  },
  {
    name: 'the login of gcloud',
    asks: ['/token'],
    prepare: async () => {
      const login = { type: 'authorized_user', client_id: 'i', client_secret: MARK, refresh_token: MARK };
      await account('.config/gcloud/application_default_credentials.json', login);
      return {};
    },
  },
];

async function scene(prepare: (typeof ACCOUNTS)[number]['prepare']) {
  const google = await startGoogle();
  const env = { METADATA_SERVER_DETECTION: 'none', ...(await prepare(google)) };
  if ('GCE_METADATA_HOST' in env) {
    env.METADATA_SERVER_DETECTION = '';
    // The library looks there by itself.
    vi.stubEnv('GCE_METADATA_HOST', google.host);
  }
  const warnings: string[] = [];
  const credentials = createCredentials({
    env,
    uid: UID,
    home: scratch.directory,
    shared: scratch.directory,
    warn: (_, message) => void warnings.push(message),
    // Google's own token service has a fixed address: only the host of what is asked there is another.
    fetch: (input, init) => {
      const url = new URL(String(input instanceof Request ? input.url : input));
      const isOwn = url.host === 'oauth2.googleapis.com';
      return fetch(isOwn ? `http://${google.host}${url.pathname}` : (input as string), init);
    },
  });
  const [location, secret] = at('gs://bucket/x');
  const cloud = await gcsScene({
    secrets: async (again) => {
      const { google: _, ...found } = await credentials.secretsFor(location, secret, again);
      return found;
    },
  });
  onTestFinished(cloud.close);
  store(cloud.emulator, 'x', Buffer.from('content'));
  const read = async () => {
    const source = await cloud.endpoint.read('/x', { signal: never });
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.bytes) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString();
  };
  return { google, warnings, cloud, read };
}

describe.each(ACCOUNTS)('a token by $name', ({ asks, prepare }) => {
  test('is asked for once, and shown to the service', async () => {
    const { google, cloud, read } = await scene(prepare);
    cloud.emulator.turn({ token: `token-${MARK}-1` });
    expect(await read()).toBe('content');
    expect(await read()).toBe('content');
    expect(google.asked.map(({ path }) => path)).toEqual(asks);
  });

  test('F13 that the service refuses in the middle of a run is asked for anew', async () => {
    const { google, cloud, read } = await scene(prepare);
    cloud.emulator.turn({ token: `token-${MARK}-1` });
    expect(await read()).toBe('content');
    cloud.emulator.turn({ token: `token-${MARK}-2` });
    expect(await read()).toBe('content');
    expect(google.tokens.given).toBe(2);
  });

  test('P10 that stays refused is a permanent error with a hint, and nobody sees it', async () => {
    const { google, cloud, read, warnings } = await scene(prepare);
    google.tokens.isStuck = true;
    cloud.emulator.turn({ token: 'another' });
    const error = await errorOf(read);
    expect(error).toMatchObject({ code: 'unauthenticated', transient: false });
    expect(error.hint).toMatch(/GOOGLE_APPLICATION_CREDENTIALS/);
    expect(everythingIn(error) + warnings.join()).not.toContain(MARK);
  });
});

test.each([
  ['at the start', false],
  ['in the middle of a run', true],
])('P6 why a token is not given is said, not that there should be another: %s', async (_, isLater) => {
  const { google, cloud, read } = await scene((ACCOUNTS[0] as (typeof ACCOUNTS)[number]).prepare);
  const description = 'Token must be short-lived; check your iat and exp values';
  if (isLater) {
    cloud.emulator.turn({ token: `token-${MARK}-1` });
    expect(await read()).toBe('content');
    cloud.emulator.turn({ token: 'another' });
  }
  google.tokens.refusal = { error: 'invalid_grant', error_description: description };
  const error = await errorOf(read);
  expect(error).toMatchObject({ code: 'unauthenticated', transient: false });
  expect(error.message).toContain('invalid_grant');
  expect(error.hint).toMatch(/clock/);
});
