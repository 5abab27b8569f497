import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { once } from 'node:events';
import { chmod, copyFile, readFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCredentials } from '../../src/credentials/credentials.ts';
import { at, errorOf, everythingIn, FIXTURES, MARK, UID, useScratch } from './scratch.ts';

const scratch = useScratch();
afterEach(() => vi.unstubAllEnvs());

/** A key as the console makes them; the marks must never be shown. */
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
const serviceAccount = {
  type: 'service_account',
  project_id: 'the-project',
  private_key_id: MARK,
  private_key: String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })),
  client_email: 'robot@the-project.example',
};

interface Asked {
  readonly url: string;
  readonly body: URLSearchParams;
}

/** Google's token services: they give `token-1`, `token-2`, or what `answer` says. */
function google(answer?: (count: number) => Response) {
  const asked: Asked[] = [];
  const fetch = async (input: unknown, init?: { readonly body?: unknown }): Promise<Response> => {
    asked.push({ url: String(input), body: new URLSearchParams(String(init?.body ?? '')) });
    return answer?.(asked.length) ?? json({ access_token: `token-${asked.length}`, expires_in: 3599 });
  };
  return { asked, fetch: fetch as typeof globalThis.fetch };
}

function json(value: object, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json' } });
}

function setUp(env: Record<string, string>, fetch = google().fetch) {
  return createCredentials({
    env,
    fetch,
    uid: UID,
    home: scratch.directory,
    shared: scratch.directory,
    warn: () => undefined,
  });
}

const writeAccount = (name = 'key.json', account: object = serviceAccount) =>
  scratch.write(name, JSON.stringify(account));

/** What a signed assertion claims, when `key` signed it. */
function claimsOf(assertion: string, key: KeyObject): Record<string, unknown> {
  const [head = '', body = '', signature = ''] = assertion.split('.');
  const isSigned = verify(
    'RSA-SHA256',
    Buffer.from(`${head}.${body}`),
    key,
    Buffer.from(signature, 'base64url'),
  );
  expect(isSigned).toBe(true);
  return JSON.parse(Buffer.from(body, 'base64url').toString());
}

describe('service accounts', () => {
  test('a key file gets a token for what it signs, once until it expires', async () => {
    const { asked, fetch } = google();
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: await writeAccount() }, fetch);
    for (let round = 0; round < 3; round += 1) {
      expect(await credentials.secretsFor(...at('gs://bucket/x'))).toEqual({
        bearer: 'token-1',
        google: { project: 'the-project' },
      });
    }
    expect(asked).toHaveLength(1);
    const claims = claimsOf(asked[0]?.body.get('assertion') ?? '', keys.publicKey);
    expect(claims).toMatchObject({
      iss: 'robot@the-project.example',
      scope: 'https://www.googleapis.com/auth/devstorage.full_control',
      aud: 'https://oauth2.googleapis.com/token',
    });
  });

  test('a token that was refused is asked for again', async () => {
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: await writeAccount() });
    await credentials.secretsFor(...at('gs://bucket/x'));
    expect((await credentials.secretsFor(...at('gs://bucket/x'), true)).bearer).toBe('token-2');
  });

  test('the variable of a site goes before the general one, and its file is for that site alone', async () => {
    const other = { ...serviceAccount, client_email: 'other@example' };
    const { asked, fetch } = google();
    const credentials = setUp(
      {
        GOOGLE_APPLICATION_CREDENTIALS: await writeAccount(),
        GOOGLE_APPLICATION_CREDENTIALS_site_a: await writeAccount('other.json', other),
      },
      fetch,
    );
    await credentials.secretsFor(...at('gs://bucket/x', 'site-a'));
    await credentials.secretsFor(...at('gs://bucket/x', 'site-b'));
    const issuers = asked.map(({ body }) => claimsOf(body.get('assertion') ?? '', keys.publicKey).iss);
    expect(issuers).toEqual(['other@example', 'robot@the-project.example']);
    const source = credentials.describeSource(...at('gs://bucket/x', 'site-a'));
    expect(await source).toBe('GOOGLE_APPLICATION_CREDENTIALS_site_a');
  });

  test('S12 a key file that others can read is refused, and how to close it is said', async () => {
    const path = await writeAccount();
    await chmod(path, 0o644);
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: path });
    const error = await errorOf(() => credentials.secretsFor(...at('gs://bucket/x')));
    expect(error).toMatchObject({ code: 'permission-denied', hint: `chmod 600 ${path}` });
  });

  test.each([
    ['missing', undefined],
    ['no JSON', 'text'],
    ['no account', '{"a": 1}'],
    ['without its key', JSON.stringify({ type: 'service_account', client_email: 'a@b' })],
  ])('B5 a file that is %s is refused by name', async (_, content) => {
    const path = content === undefined ? scratch.path('absent') : await scratch.write('bad.json', content);
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: path });
    const error = await errorOf(() => credentials.secretsFor(...at('gs://bucket/x')));
    expect(error).toMatchObject({ code: 'invalid-request' });
    expect(error.message).toContain(`reading \`${path}\` (GOOGLE_APPLICATION_CREDENTIALS)`);
    expect(error.hint).toBeDefined();
  });

  test('P10 a refusal shows neither key nor assertion', async () => {
    const { fetch } = google(() => json({ error: 'invalid_grant', error_description: 'Invalid JWT' }, 400));
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: await writeAccount() }, fetch);
    const error = await errorOf(() => credentials.secretsFor(...at('gs://bucket/x')));
    expect(error.code).toBe('unauthenticated');
    expect(error.message).toContain('invalid_grant');
    expect(everythingIn(error)).not.toMatch(/BEGIN PRIVATE|assertion|eyJ/);
    expect(everythingIn(error)).not.toContain(MARK);
  });
});

describe('P6 a token that is not given', () => {
  const login = { type: 'authorized_user', client_id: 'i', client_secret: 's', refresh_token: MARK };
  const short = 'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.';

  test.each([
    [
      'to a clock that is wrong',
      serviceAccount,
      'invalid_grant',
      `${short} Check your iat and exp values`,
      /clock/,
    ],
    [
      'to a login that has expired',
      login,
      'invalid_grant',
      'Token has been expired or revoked.',
      /login has expired/,
    ],
    [
      'to a key that was deleted',
      serviceAccount,
      'invalid_grant',
      'Invalid JWT Signature.',
      /key may have been deleted/,
    ],
    [
      'to a client that is unknown',
      login,
      'invalid_client',
      'The OAuth client was not found.',
      /login has expired/,
    ],
  ])('%s is a permanent error with a hint of its own', async (_, account, code, description, hint) => {
    const { fetch } = google(() => json({ error: code, error_description: description }, 400));
    const path = await writeAccount('account.json', account);
    const error = await errorOf(() =>
      setUp({ GOOGLE_APPLICATION_CREDENTIALS: path }, fetch).secretsFor(...at('gs://bucket/x')),
    );
    expect(error).toMatchObject({ code: 'unauthenticated', transient: false });
    expect(error.message).toContain(code);
    expect(error.hint).toMatch(hint);
    expect(everythingIn(error)).not.toContain(MARK);
  });

  test('because its service cannot be reached, or is in trouble, is asked for again', async () => {
    const refused = Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNREFUSED' } });
    const troubles = [
      () => {
        throw refused;
      },
      () => json({ error: 'internal_failure' }, 503),
    ];
    for (const trouble of troubles) {
      const { fetch } = google(trouble);
      const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: await writeAccount() }, fetch);
      const error = await errorOf(() => credentials.secretsFor(...at('gs://bucket/x')));
      expect(error).toMatchObject({ code: 'unavailable', transient: true });
    }
  });

  test('because what it is exchanged for is not there, is permanent, and says what is missing', async () => {
    const path = await writeAccount('workload.json', {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'http://127.0.0.1:9/v1/token',
      credential_source: { file: scratch.path('absent') },
    });
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: path });
    const error = await errorOf(() => credentials.secretsFor(...at('gs://bucket/x')));
    expect(error).toMatchObject({ code: 'unauthenticated', transient: false });
    expect(error.hint).toMatch(/credential_source/);
  });
});

describe('the original’s credentials', () => {
  const boto = (config: string) => scratch.write('boto', config);
  const p12 = async (fixture: string) => {
    const path = scratch.path(fixture);
    await copyFile(join(FIXTURES, 'google', fixture), path);
    await chmod(path, 0o600);
    return path;
  };
  const certificate = async () => createPublicKey(await readFile(join(FIXTURES, 'google/certificate.pem')));

  test.each([
    ['as the console made them', 'google.p12', ''],
    ['as openssl makes them now', 'modern.p12', 'gs_service_key_file_password = another\n'],
  ])('GOOGLE_PKCS12 and BOTO_CONFIG: keys %s', async (_, fixture, password) => {
    const { asked, fetch } = google();
    const config = `[Credentials]\ngs_service_client_id = old@example\n${password}[GSUtil]\ndefault_project_id = old-project\n`;
    const env = { GOOGLE_PKCS12: await p12(fixture), BOTO_CONFIG_site: await boto(config) };
    const secrets = await setUp(env, fetch).secretsFor(...at('gs://bucket/x', 'site'));
    expect(secrets).toEqual({ bearer: 'token-1', google: { project: 'old-project' } });
    const claims = claimsOf(asked[0]?.body.get('assertion') ?? '', await certificate());
    expect(claims.iss).toBe('old@example');
  });

  test('GOOGLE_PKCS12 that is JSON in truth is taken as such', async () => {
    const env = { GOOGLE_PKCS12: await writeAccount(), BOTO_CONFIG: await boto('[Credentials]\n') };
    expect((await setUp(env).secretsFor(...at('gs://bucket/x'))).bearer).toBe('token-1');
  });

  test('B5 a password that does not fit is said, and not shown', async () => {
    const config = `[Credentials]\ngs_service_client_id = a@b\ngs_service_key_file_password = ${MARK}\n`;
    const env = { GOOGLE_PKCS12: await p12('google.p12'), BOTO_CONFIG: await boto(config) };
    const error = await errorOf(() => setUp(env).secretsFor(...at('gs://bucket/x')));
    expect(error.code).toBe('invalid-request');
    expect(error.hint).toContain('gs_service_key_file_password');
    expect(everythingIn(error)).not.toContain(MARK);
  });

  test('B5 a key file that is none, of any length, is refused', async () => {
    const whole = await readFile(await p12('google.p12'));
    const config = await boto('[Credentials]\ngs_service_client_id = a@b\n');
    for (let length = 0; length < whole.length; length += 97) {
      const key = await scratch.write('cut.p12', whole.subarray(0, length));
      const env = { GOOGLE_PKCS12: key, BOTO_CONFIG: config };
      const error = await errorOf(() => setUp(env).secretsFor(...at('gs://bucket/x')));
      expect(error.code, String(length)).toBe('invalid-request');
    }
  });

  test('GOOGLE_PKCS12 without BOTO_CONFIG is said to lack it', async () => {
    const env = { GOOGLE_PKCS12: await p12('google.p12') };
    const error = await errorOf(() => setUp(env).secretsFor(...at('gs://bucket/x')));
    expect(error.message).toBe('GOOGLE_PKCS12: expected `BOTO_CONFIG` beside it');
  });

  test('BOTO_CONFIG alone: a key file or a login', async () => {
    const key = await writeAccount();
    const one = { BOTO_CONFIG: await boto(`[Credentials]\ngs_service_key_file = ${key}\n`) };
    expect((await setUp(one).secretsFor(...at('gs://bucket/x'))).bearer).toBe('token-1');
    const login = '[Credentials]\ngs_oauth2_refresh_token = r\n[OAuth2]\nclient_id = i\nclient_secret = s\n';
    const { asked, fetch } = google();
    const other = { BOTO_CONFIG: await boto(login) };
    expect((await setUp(other, fetch).secretsFor(...at('gs://bucket/x'))).bearer).toBe('token-1');
    expect(asked[0]?.body.get('refresh_token')).toBe('r');
  });
});

describe('other accounts', () => {
  test('the login of gcloud is used when no variable names another', async () => {
    const { asked, fetch } = google();
    const login = {
      type: 'authorized_user',
      client_id: 'i',
      client_secret: 's',
      refresh_token: 'r',
      quota_project_id: 'q',
    };
    await writeAccount('application_default_credentials.json', login);
    const credentials = setUp({ CLOUDSDK_CONFIG: scratch.directory }, fetch);
    const secrets = await credentials.secretsFor(...at('gs://bucket/x'));
    expect(secrets).toEqual({ bearer: 'token-1', google: { project: 'q' } });
    expect(asked[0]?.body.get('grant_type')).toBe('refresh_token');
    expect(await credentials.describeSource(...at('gs://bucket/x'))).toBe('the login of gcloud');
  });

  /** A service of Google's that the library asks in its own way. */
  async function service(serve: RequestListener): Promise<string> {
    const server = createServer(serve);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test('workload identity exchanges the token of a file', async () => {
    const bodies: string[] = [];
    const host = await service(async (request, response) => {
      bodies.push(await text(request));
      const granted = { access_token: 'exchanged', token_type: 'Bearer', expires_in: 3600 };
      const type = 'urn:ietf:params:oauth:token-type:access_token';
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ ...granted, issued_token_type: type }));
    });
    const pool = 'projects/1/locations/global/workloadIdentityPools/p/providers/x';
    const path = await writeAccount('workload.json', {
      type: 'external_account',
      audience: `//iam.googleapis.com/${pool}`,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `http://${host}/v1/token`,
      credential_source: { file: await scratch.write('subject', 'subject-token') },
    });
    // It says where the secret is, and is none.
    await chmod(path, 0o644);
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: path });
    expect((await credentials.secretsFor(...at('gs://bucket/x'))).bearer).toBe('exchanged');
    expect(new URLSearchParams(bodies[0]).get('subject_token')).toBe('subject-token');
  });

  test("the machine's own account comes from its metadata server", async () => {
    const host = await service((request, response) => {
      response.setHeader('metadata-flavor', 'Google');
      if (request.headers['metadata-flavor'] !== 'Google') response.writeHead(403).end();
      else if (!request.url?.includes('/service-accounts/default/token')) response.end('{}');
      else response.end(JSON.stringify({ access_token: 'of-the-machine', expires_in: 3599 }));
    });
    // The library looks there by itself.
    vi.stubEnv('GCE_METADATA_HOST', host);
    const credentials = setUp({ GCE_METADATA_HOST: host });
    expect((await credentials.secretsFor(...at('gs://bucket/x'))).bearer).toBe('of-the-machine');
  });

  test('without any, and when told so, nothing is shown', async () => {
    const { asked, fetch } = google();
    const none = setUp({ METADATA_SERVER_DETECTION: 'none' }, fetch);
    expect(await none.secretsFor(...at('gs://bucket/x'))).toEqual({});
    expect(await none.describeSource(...at('gs://bucket/x'))).toBe('none');
    const told = {
      GOOGLE_APPLICATION_CREDENTIALS: await writeAccount(),
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
    };
    expect(await setUp(told, fetch).secretsFor(...at('gs://bucket/x'))).toEqual({});
    expect(asked).toEqual([]);
  });

  test.each([
    ['localhost:9000', 'http://localhost:9000'],
    ['https://emulator.example/', 'https://emulator.example'],
    ['http://127.0.0.1:4443/storage/v1', 'http://127.0.0.1:4443'],
  ])('an emulator at %s sees no credentials', async (host, endpoint) => {
    const env = { STORAGE_EMULATOR_HOST: host, GOOGLE_APPLICATION_CREDENTIALS: await writeAccount() };
    const google = { endpoint, project: 'emulator' };
    expect(await setUp(env).secretsFor(...at('gs://bucket/x'))).toEqual({ google });
  });

  test('credentials of Google are never shown to other services', async () => {
    const { asked, fetch } = google();
    const credentials = setUp({ GOOGLE_APPLICATION_CREDENTIALS: await writeAccount() }, fetch);
    expect(await credentials.secretsFor(...at('https://storage.googleapis.com/bucket/x'))).toEqual({});
    expect(asked).toEqual([]);
  });
});
