import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createCredentials } from '../../src/credentials/credentials.ts';
import { bridle, type Ended, scratch } from '../commands/run-command.ts';
import { type AwsServices, startAws } from './aws-services.ts';
import { at, MARK, UID } from './scratch.ts';

const CONTENT = Buffer.from('what lies in the bucket');
const START_URL = 'https://sso.example/start';

/** One of the places that AWS tools look for keys in. */
interface Place {
  readonly name: string;
  /** Writes what is needed below the home; gives the variables. */
  prepare(aws: AwsServices, home: string): Readonly<Record<string, string>>;
  /** Looks at what the service was asked. */
  check(aws: AwsServices): void;
}

const write = (home: string, name: string, text: string): string => {
  const path = join(home, name);
  fs.mkdirSync(join(path, '..'), { recursive: true });
  fs.writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const inFull = (aws: AwsServices) => ({
  AWS_REGION: 'eu-west-1',
  AWS_ENDPOINT_URL_S3: aws.s3.url,
  AWS_ENDPOINT_URL_STS: aws.url,
  AWS_EC2_METADATA_DISABLED: 'true',
  NO_PROXY: '127.0.0.1',
});

const PLACES: readonly Place[] = [
  {
    name: 'web identity',
    prepare: (_, home) => ({
      AWS_WEB_IDENTITY_TOKEN_FILE: write(home, 'identity', `identity-${MARK}`),
      AWS_ROLE_ARN: 'arn:aws:iam::1:role/web',
    }),
    check({ asked }) {
      const form = Object.fromEntries(asked[0]?.form ?? []);
      expect(form).toMatchObject({
        Action: 'AssumeRoleWithWebIdentity',
        RoleArn: 'arn:aws:iam::1:role/web',
        WebIdentityToken: `identity-${MARK}`,
      });
    },
  },
  {
    name: 'the role of an instance (IMDSv2)',
    prepare: (aws) => ({
      AWS_EC2_METADATA_DISABLED: 'false',
      AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url,
    }),
    check({ asked }) {
      expect(asked.map(({ method }) => method)).toEqual(['PUT', 'GET', 'GET']);
      expect(asked.at(-1)?.path).toMatch(/security-credentials\/the-role$/);
    },
  },
  {
    name: 'the role of a container',
    prepare: (aws) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${aws.url}/container`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: `container-${MARK}`,
    }),
    check: ({ asked }) => expect(asked.map(({ path }) => path)).toEqual(['/container']),
  },
  {
    name: 'a profile with a role and the profile that may take it',
    prepare(_, home) {
      write(home, '.aws/credentials', `[base]\naws_access_key_id = BASE\naws_secret_access_key = ${MARK}\n`);
      const role = 'role_arn = arn:aws:iam::1:role/lab\nsource_profile = base\nrole_session_name = here\n';
      write(home, '.aws/config', `[profile lab]\nregion = eu-west-1\n${role}`);
      return { AWS_PROFILE: 'lab' };
    },
    check({ asked }) {
      const form = Object.fromEntries(asked[0]?.form ?? []);
      expect(form).toMatchObject({ Action: 'AssumeRole', RoleArn: 'arn:aws:iam::1:role/lab' });
      expect(asked[0]?.headers.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=BASE\//);
    },
  },
  {
    name: 'a login by SSO whose token is in the cache',
    prepare(aws, home) {
      const keys = { sso_start_url: START_URL, sso_region: 'eu-west-1', sso_account_id: '1' };
      const lines = Object.entries({ ...keys, sso_role_name: 'r' }).map(
        ([key, value]) => `${key} = ${value}`,
      );
      write(home, '.aws/config', `[profile sso]\n${lines.join('\n')}\n`);
      const name = createHash('sha1').update(START_URL).digest('hex');
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
      const token = { accessToken: `sso-${MARK}`, expiresAt, startUrl: START_URL, region: 'eu-west-1' };
      write(home, `.aws/sso/cache/${name}.json`, JSON.stringify(token));
      return { AWS_PROFILE: 'sso', AWS_ENDPOINT_URL_SSO: aws.url };
    },
    check: ({ asked }) => expect(asked.map(({ path }) => path)).toEqual(['/federation/credentials']),
  },
  {
    name: 'a program that the profile names',
    prepare(aws, home) {
      const url = `${aws.url}/container`;
      const program = write(
        home,
        'keys.mjs',
        `const answer = await fetch(${JSON.stringify(url)}, { headers: { authorization: 'container-${MARK}' } });
const { Token, ...keys } = await answer.json();
console.log(JSON.stringify({ Version: 1, SessionToken: Token, ...keys }));\n`,
      );
      const command = `"${process.execPath}" "${program}"`;
      write(home, '.aws/config', `[profile program]\ncredential_process = ${command}\n`);
      return { AWS_PROFILE: 'program' };
    },
    check: ({ asked }) => expect(asked.map(({ path }) => path)).toEqual(['/container']),
  },
];

/** Where nobody listens. */
async function closedUrl(): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return `http://127.0.0.1:${port}`;
}

interface Run extends Ended {
  readonly aws: AwsServices;
  /** Everything that was written to output, report and events. */
  readonly shown: string;
  /** Attempts at each file, in the order of the report. */
  readonly attempts: readonly number[];
  readonly home: string;
}

/** `bridle cp` of that many objects, told as much as it can tell. */
async function run(
  place: Place,
  options: { readonly files?: number; readonly change?: (aws: AwsServices) => void } = {},
): Promise<Run> {
  const aws = await startAws();
  const home = scratch();
  const names = Array.from({ length: options.files ?? 1 }, (_, index) => `f${index}`);
  for (const name of names) aws.s3.store.objects.set(`/bucket/${name}`, CONTENT);
  options.change?.(aws);
  fs.mkdirSync(join(home, 'out'));
  const report = join(home, 'report.json');
  const sources = names.map((name) => `s3://bucket/${name}`);
  const told = ['--debug', '--threads', '1', '--report', report, '--events', join(home, 'events')];
  const ended = await bridle(['cp', ...told, ...sources, join(home, 'out/')], {
    cwd: home,
    env: { ...inFull(aws), ...place.prepare(aws, home) },
  });
  const read = (name: string) => fs.readFileSync(join(home, name), 'utf8');
  const shown = ended.stdout + ended.stderr + read('report.json') + read('events');
  const { outcomes } = JSON.parse(read('report.json')) as { outcomes: { attempts: unknown[] }[] };
  return { ...ended, aws, home, shown, attempts: outcomes.map(({ attempts }) => attempts.length) };
}

describe.each(PLACES)('keys of $name', (place) => {
  test('P10 are found, shown to S3 alone, and to nobody who reads what is told', async () => {
    const { status, stderr, aws, shown, home } = await run(place);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(fs.readFileSync(join(home, 'out/f0')).equals(CONTENT)).toBe(true);
    expect(aws.given()).toBe(1);
    place.check(aws);
    expect(stderr).not.toMatch(/warning/i);
    expect(shown).not.toContain(MARK);
  });

  test('F13 that the service refuses as expired in the middle of a run are asked for anew, without a wait', async () => {
    const { status, stderr, aws, shown, attempts } = await run(place, {
      files: 3,
      change(aws) {
        let reads = 0;
        const script = aws.s3;
        const refuse = aws.refuseOld;
        script.setScript((asked) => {
          if (asked.method === 'GET' && ++reads === 2) aws.expire();
          return refuse(asked);
        });
      },
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(aws.given()).toBe(2);
    expect(attempts).toEqual([1, 1, 1]);
    expect(shown).not.toContain(MARK);
  });

  test('P6 that stay expired end at once, and how to mend it is said', async () => {
    const { status, stderr, shown, attempts } = await run(place, {
      change(aws) {
        aws.isStuck = true;
        aws.s3.setScript((asked) => {
          aws.expire();
          return aws.refuseOld(asked);
        });
      },
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/session token has expired/);
    expect(stderr).toMatch(/hint: renew the credentials: they come from /);
    expect(attempts).toEqual([1]);
    expect(shown).not.toContain(MARK);
  });
});

describe('temporary keys', () => {
  afterEach(() => vi.unstubAllEnvs());

  /** The library of AWS looks into the environment of its process. */
  async function ofRole(lasts: number) {
    const aws = await startAws();
    aws.lasts = lasts;
    const home = scratch();
    const identity = write(home, 'identity', 'identity');
    const role = { AWS_WEB_IDENTITY_TOKEN_FILE: identity, AWS_ROLE_ARN: 'arn:aws:iam::1:role/web' };
    const env = { ...inFull(aws), ...role, HOME: home };
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const warn = () => undefined;
    const credentials = createCredentials({ env, home, shared: home, uid: UID, warn });
    return async () => (await credentials.secretsFor(...at('s3://bucket/key'))).s3?.accessKeyId;
  }

  test('are kept while they hold', async () => {
    const key = await ofRole(3600);
    expect([await key(), await key()]).toEqual(['KEY1', 'KEY1']);
  });

  test('that will expire within minutes are renewed while they still hold', async () => {
    const key = await ofRole(60);
    expect([await key(), await key()]).toEqual(['KEY1', 'KEY1']);
    await expect.poll(key).not.toBe('KEY1');
  });

  test('that have expired are shown to nobody: new ones are waited for', async () => {
    const key = await ofRole(-1);
    expect([await key(), await key()]).toEqual(['KEY1', 'KEY2']);
  });

  test.each([
    ['cannot be reached', 'closed'],
    ['is in trouble', 'trouble'],
  ])('of a service that %s are asked for again', async (_, kind) => {
    const aws = await startAws();
    const home = scratch();
    if (kind === 'trouble') aws.refusal = 'InternalFailure';
    const report = join(home, 'report.json');
    const env = {
      ...inFull(aws),
      ...(kind === 'closed' ? { AWS_ENDPOINT_URL_STS: await closedUrl() } : {}),
      AWS_WEB_IDENTITY_TOKEN_FILE: write(home, 'identity', 'identity'),
      AWS_ROLE_ARN: 'arn:aws:iam::1:role/web',
    };
    const args = ['cp', '--attempts', '2', '--report', report, 's3://bucket/key', join(home, 'to')];
    const { status, stderr } = await bridle(args, { cwd: home, env });
    expect({ status, stderr }).toMatchObject({ status: 1 });
    expect(stderr).toMatch(/looking for AWS credentials/);
    expect([...fs.readFileSync(report, 'utf8').matchAll(/"round": ?(\d+)/g)]).toHaveLength(2);
  });

  test('P6 that are not given, for a login that has expired, are a permanent error with a hint', async () => {
    const aws = await startAws();
    const home = scratch();
    aws.refusal = 'ExpiredTokenException';
    const report = join(home, 'report.json');
    const env = {
      ...inFull(aws),
      AWS_WEB_IDENTITY_TOKEN_FILE: write(home, 'identity', `identity-${MARK}`),
      AWS_ROLE_ARN: 'arn:aws:iam::1:role/web',
    };
    const args = ['cp', '--debug', '--report', report, 's3://bucket/key', join(home, 'to')];
    const { status, stdout, stderr } = await bridle(args, { cwd: home, env });
    expect(status).toBe(1);
    expect(stderr).toMatch(/looking for AWS credentials: the message of ExpiredTokenException/);
    expect(stderr).toMatch(/hint: log in again/);
    const shown = stdout + stderr + fs.readFileSync(report, 'utf8');
    expect(shown).not.toContain(MARK);
    expect([...shown.matchAll(/"round": ?(\d+)/g)]).toHaveLength(1);
  });
});
