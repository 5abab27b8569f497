import fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type S3Answer, s3Failure } from '../../fixtures/misbehaving/s3-objects.ts';
import { type ScriptedS3, startScriptedS3 } from '../../fixtures/misbehaving/s3-server.ts';
import { type GcsEmulator, startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { LOGIN, type ServerName, type ServerTypes, startServer } from '../../fixtures/servers/servers.ts';
import type { RunningSshd } from '../../fixtures/servers/sshd.ts';
import { bridle, scratch } from '../commands/run-command.ts';

const CA = new URL('../../fixtures/tls/ca.pem', import.meta.url).pathname;

/** What is refused, and what has to be said of it. */
interface Refusal {
  /** Protocol and what is wrong. */
  readonly name: string;
  readonly url: () => string;
  readonly env?: () => Record<string, string>;
  readonly message: RegExp;
  readonly hint?: RegExp;
  /** The place is written to, not read. */
  readonly isUpload?: true;
  /** It may go away: tried again, as often as `--attempts` says. */
  readonly isTransient?: true;
  /** Whether it may go away depends on the machine: a resolver that does not answer is not one that says no. */
  readonly isOpen?: true;
}

const running = new Map<ServerName, ServerTypes[ServerName]>();
function server<Name extends ServerName>(name: Name): ServerTypes[Name] {
  return running.get(name) as ServerTypes[Name];
}

let closed = 0;
/** OpenSSH's server with `-R`. */
let readOnly: RunningSshd | undefined;
let s3: ScriptedS3;
let gcs: GcsEmulator;
let home = '';
/** Of Google's token service. */
let tokenAnswer: S3Answer;

beforeAll(async () => {
  const names = ['nginx', 'apache-dav', 'ftp', 'sshd'] as const;
  await Promise.all(names.map(async (name) => running.set(name, await startServer(name))));
  readOnly = await startServer('sshd', { subsystem: '/usr/lib/openssh/sftp-server -R' });
  [s3, gcs] = await Promise.all([startScriptedS3(), startGcsEmulator()]);
  s3.setScript(({ path }) => {
    if (path === '/-/token') return tokenAnswer;
    const kind = path.split('/')[1] ?? '';
    const known: Readonly<Record<string, readonly [number, string]>> = {
      'no-bucket': [404, 'NoSuchBucket'],
      'wrong-key': [403, 'InvalidAccessKeyId'],
      'wrong-secret': [403, 'SignatureDoesNotMatch'],
      'no-permission': [403, 'AccessDenied'],
      'expired-token': [400, 'ExpiredToken'],
      'clock-skew': [403, 'RequestTimeTooSkewed'],
      'other-region': [301, 'PermanentRedirect'],
      'other-signature': [400, 'AuthorizationHeaderMalformed'],
      'odd-token': [400, 'InvalidToken'],
    };
    const refusal = known[kind];
    return refusal && s3Failure(...refusal);
  });
  const fault = { times: Number.POSITIVE_INFINITY };
  gcs.turn({
    faults: [
      {
        ...fault,
        match: '/b/no-access/',
        status: 403,
        reason: 'forbidden',
        message: 'x does not have access',
      },
      {
        ...fault,
        match: '/b/expired-token/',
        status: 401,
        reason: 'authError',
        message: 'Invalid Credentials',
      },
      { ...fault, match: '/b/payer/', status: 400, reason: 'userProjectMissing', message: 'requester pays' },
    ],
  });
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  closed = (probe.address() as { readonly port: number }).port;
  await new Promise((resolve) => probe.close(resolve));
  home = fs.mkdtempSync(join(tmpdir(), 'bridle-refusals-'));
});
afterAll(async () => {
  await Promise.all([...running.values()].map((one) => one.stop()));
  await readOnly?.stop();
  await s3?.close();
  await gcs?.close();
  fs.rmSync(home, { recursive: true, force: true });
});

const ssh =
  (more: Record<string, string> = {}) =>
  () => ({
    SSH_PRIVATE_KEY: server('sshd').keys.ed25519,
    SSH_KNOWN_HOSTS: server('sshd').knownHosts,
    BRIDLE_SSH_CONFIG: '/dev/null',
    ...more,
  });
const aws = () => ({
  AWS_ACCESS_KEY_ID: 'AK',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_REGION: 'here',
  AWS_ENDPOINT_URL: s3.url,
  AWS_EC2_METADATA_DISABLED: 'true',
});
const elsewhere = (endpoint: () => string) => () => ({ ...aws(), AWS_ENDPOINT_URL: endpoint() });
/** An account whose token service says so. */
const refusedBy = (said: string) => () => {
  tokenAnswer = { status: 400, headers: { 'content-type': 'application/json' }, body: said };
  const path = join(home, 'account.json');
  fs.writeFileSync(join(home, 'subject'), 'subject');
  const account = {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: `${s3.url}/-/token`,
    credential_source: { file: join(home, 'subject') },
  };
  fs.writeFileSync(path, JSON.stringify(account), { mode: 0o600 });
  return { GOOGLE_APPLICATION_CREDENTIALS: path };
};
const emulated = () => ({ STORAGE_EMULATOR_HOST: gcs.origin });
const sshUrl = (path: string) => () =>
  `sftp://${server('sshd').username}@127.0.0.1:${server('sshd').port}${path}`;
const onS3 = (bucket: string) => () => `s3://${bucket}/key`;

const NO_HOST = 'no-such-host.invalid';
const HTTP_LIKE = ['http', 'https', 'dav', 'davs', 'ftp', 'ftps'];

const REFUSALS: readonly Refusal[] = [
  ...HTTP_LIKE.flatMap((scheme): Refusal[] => [
    {
      name: `${scheme}: no such host`,
      url: () => `${scheme}://${NO_HOST}/f`,
      message: /no-such-host\.invalid/,
      isOpen: true,
    },
    {
      name: `${scheme}: connection refused`,
      url: () => `${scheme}://127.0.0.1:${closed}/f`,
      message: /127\.0\.0\.1:\d+/,
      hint: /host and port/,
      isTransient: true,
    },
  ]),
  ...(['http', 'https', 'dav', 'davs'] as const).map(
    (scheme): Refusal => ({
      name: `${scheme}: the port of another service`,
      url: () => `${scheme}://127.0.0.1:${server('sshd').port}/f`,
      message: scheme.endsWith('s') ? /not TLS/ : /does not begin like HTTP/,
      hint: scheme.endsWith('s') ? /no TLS port/ : /look at the port/,
      ...(scheme.endsWith('s') ? { isTransient: true } : {}),
    }),
  ),
  {
    name: 'dav: a port for TLS',
    url: () => `${server('apache-dav').https.replace('https', 'dav')}/open/f`,
    message: /HTTP 400/,
    hint: /davs:/,
  },
  {
    name: 'dav: a percent sign that begins no escape',
    url: () => `${server('apache-dav').http.replace('http', 'dav')}/open/100%`,
    message: /HTTP 400/,
    hint: /%25/,
  },
  {
    name: 'ftp: the port of another service',
    url: () => `ftp://127.0.0.1:${server('sshd').port}/f`,
    message: /expected an FTP reply, got `SSH-/,
    hint: /look at the port/,
  },
  {
    name: 'ftps: a port without TLS from the first byte',
    url: () => `${server('ftp').plain.replace('ftp:', 'ftps:')}/f`,
    message: /not TLS/,
    hint: /`ftp:` for `ftps:`/,
    isTransient: true,
  },
  {
    name: 'sftp: no such host',
    url: () => `sftp://${NO_HOST}/f`,
    env: ssh(),
    message: /no-such-host\.invalid/,
    isOpen: true,
  },
  {
    name: 'sftp: connection refused',
    url: () => `sftp://127.0.0.1:${closed}/f`,
    env: ssh(),
    message: /127\.0\.0\.1/,
    hint: /host and port/,
    isTransient: true,
  },
  {
    name: 'sftp by ssh2: connection refused',
    url: () => `sftp://127.0.0.1:${closed}/f`,
    env: ssh({ BRIDLE_SSH: 'none' }),
    message: /127\.0\.0\.1/,
    hint: /host and port/,
    isTransient: true,
  },
  { name: 'http: no such file', url: () => `${server('nginx').http}/none`, message: /\/none/ },
  {
    name: 'http: wrong credential',
    url: () => `${server('nginx').http.replace('//', '//user:wrong@')}/-/auth/f`,
    message: /\/-\/auth\/f/,
    hint: /PEGASUS_CREDENTIALS/,
  },
  {
    name: 'davs: wrong credential',
    url: () => `${server('apache-dav').https.replace('https://', 'davs://user:wrong@')}/basic/f`,
    message: /\/basic\/f/,
    hint: /PEGASUS_CREDENTIALS/,
  },
  ...['http', 'https', 'dav', 'davs'].map(
    (scheme): Refusal => ({
      name: `${scheme}: bearer token that is refused with 403`,
      // Over plain http a token goes to this machine alone.
      url: () => {
        const { http, https } = server('apache-dav');
        return `${scheme}:${(scheme.endsWith('s') ? https : http).replace(/^https?:/, '')}/token/f`;
      },
      env: () => ({ BEARER_TOKEN: 'ex.pired' }),
      message: /\/token\/f/,
      hint: /bridle doctor/,
    }),
  ),
  ...(['http', 'https'] as const).map(
    (scheme): Refusal => ({
      name: `${scheme}: bearer token that is refused with 401`,
      url: () => `${server('nginx')[scheme]}/-/auth/f`,
      env: () => ({ BEARER_TOKEN: 'ex.pired' }),
      message: /\/-\/auth\/f/,
      hint: /BEARER_TOKEN/,
    }),
  ),
  ...(['dav', 'davs'] as const).map(
    (scheme): Refusal => ({
      name: `${scheme}: bearer token that is refused with 401`,
      url: () => {
        const { http, https } = server('apache-dav');
        return `${scheme}:${(scheme === 'davs' ? https : http).replace(/^https?:/, '')}/basic/f`;
      },
      env: () => ({ BEARER_TOKEN: 'ex.pired' }),
      message: /\/basic\/f/,
      hint: /BEARER_TOKEN/,
    }),
  ),
  {
    name: 'http: no permission',
    url: () => `${server('nginx').http}/-/status/403/f`,
    message: /\/-\/status\/403\/f.*refuses access/,
    hint: /bridle doctor/,
  },
  {
    name: 'dav: no permission',
    url: () => {
      fs.writeFileSync(join(server('apache-dav').dav, 'closed'), 'closed', { mode: 0o600 });
      return `${server('apache-dav').http.replace('http', 'dav')}/open/closed`;
    },
    message: /\/open\/closed.*refuses access/,
    hint: /bridle doctor/,
  },
  {
    name: 'sftp: no permission',
    url: () => {
      const { jail, port } = server('sshd');
      if (!jail) throw new Error('a second account needs root');
      fs.writeFileSync(join(jail.root, 'closed'), 'closed', { mode: 0o600 });
      return `sftp://${jail.username}@127.0.0.1:${port}/closed`;
    },
    env: ssh(),
    message: /\/closed.*permission denied/i,
    hint: /bridle doctor/,
  },
  {
    name: 'dav: no such directory',
    url: () => `${server('apache-dav').http.replace('http', 'dav')}/open/no/f`,
    message: /\/open\/no\/f/,
  },
  {
    name: 'ftp: wrong credential',
    url: () => `${server('ftp').old.replace('//', `//${LOGIN.username}:wrong@`)}/f`,
    message: /127\.0\.0\.1/,
    hint: /user name or the password/,
  },
  {
    name: 'ftp: no permission to read',
    url: () => {
      fs.writeFileSync(join(server('ftp').pub, 'closed'), 'closed', { mode: 0 });
      return `${server('ftp').plain}/closed`;
    },
    message: /\/closed.*permission denied/i,
    hint: /bridle doctor/,
  },
  {
    name: 'ftp: no permission to write',
    url: () => `${server('ftp').plain}/new`,
    message: /\/new.*not permitted/i,
    hint: /bridle doctor/,
    isUpload: true,
  },
  {
    name: 'ftp: no such file',
    url: () => `${server('ftp').old.replace('//', `//${LOGIN.username}:${LOGIN.password}@`)}/none`,
    message: /\/none/,
  },
  {
    name: 'sftp: unknown host key',
    url: sshUrl('/f'),
    env: () => {
      fs.writeFileSync(join(home, 'hosts'), '');
      return ssh({ SSH_KNOWN_HOSTS: join(home, 'hosts') })();
    },
    message: /127\.0\.0\.1/,
    hint: /SSH_KNOWN_HOSTS/,
  },
  {
    name: 'sftp: wrong key',
    url: sshUrl('/f'),
    env: () => ssh({ SSH_PRIVATE_KEY: server('sshd').strangeKey })(),
    message: /127\.0\.0\.1/,
    hint: /SSH_PRIVATE_KEY/,
  },
  { name: 'sftp: no such file', url: sshUrl('/none/f'), env: ssh(), message: /\/none\/f/ },
  {
    name: 'sftp: no such file, by a path with an escape',
    url: sshUrl('/no%20ne'),
    env: ssh(),
    message: /\/no%20ne/,
    hint: /as it stands/,
  },
  {
    name: 'sftp: a server that nothing can be written to',
    url: () => `sftp://${readOnly?.username}@127.0.0.1:${readOnly?.port}${readOnly?.files}/new`,
    env: () => ({
      SSH_PRIVATE_KEY: readOnly?.keys.ed25519 ?? '',
      SSH_KNOWN_HOSTS: readOnly?.knownHosts ?? '',
      BRIDLE_SSH_CONFIG: '/dev/null',
    }),
    message: /\/new.*permission denied/,
    hint: /read-only/,
    isUpload: true,
  },
  { name: 's3: no such bucket', url: onS3('no-bucket'), env: aws, message: /no-bucket/, hint: /./ },
  {
    name: 's3: wrong key',
    url: onS3('wrong-key'),
    env: aws,
    message: /wrong-key/,
    hint: /AWS_ACCESS_KEY_ID/,
  },
  { name: 's3: wrong secret', url: onS3('wrong-secret'), env: aws, message: /wrong-secret/, hint: /./ },
  { name: 's3: no permission', url: onS3('no-permission'), env: aws, message: /no-permission/, hint: /./ },
  { name: 's3: expired token', url: onS3('expired-token'), env: aws, message: /expired-token/, hint: /./ },
  { name: 's3: clock skew', url: onS3('clock-skew'), env: aws, message: /clock-skew/, hint: /clock/ },
  {
    name: 's3: wrong region',
    url: onS3('other-region'),
    env: aws,
    message: /another region/,
    hint: /AWS_REGION/,
  },
  {
    name: 's3: signed for a wrong region',
    url: onS3('other-signature'),
    env: aws,
    message: /another region/,
    hint: /AWS_REGION/,
  },
  { name: 's3: a token that is none', url: onS3('odd-token'), env: aws, message: /odd-token/, hint: /renew/ },
  {
    name: 's3: an endpoint that is no S3 service',
    url: onS3('bucket'),
    env: elsewhere(() => server('nginx').http),
    message: /bucket/,
    hint: /endpoint/,
  },
  {
    name: 's3: an endpoint that is no URL of a service',
    url: onS3('bucket'),
    env: elsewhere(() => 'ftp://somewhere'),
    message: /expected an S3 endpoint/,
    hint: /endpoint/,
  },
  {
    name: 's3: no such host',
    url: onS3('bucket'),
    env: elsewhere(() => `http://${NO_HOST}`),
    message: /no-such-host\.invalid/,
    isOpen: true,
  },
  {
    name: 's3: connection refused',
    url: onS3('bucket'),
    env: elsewhere(() => `http://127.0.0.1:${closed}`),
    message: /127\.0\.0\.1:\d+/,
    hint: /the endpoint `http:\/\/127\.0\.0\.1:\d+` comes from/,
    isTransient: true,
  },
  {
    name: 's3s: an endpoint without TLS',
    url: () => 's3s://bucket/f',
    env: elsewhere(() => server('nginx').http),
    message: /what it answers is not TLS/,
    hint: /`s3s` asks by TLS, though the endpoint of .* has `http:`/,
  },
  {
    name: 'gs: no such bucket',
    url: () => 'gs://no-bucket/f',
    env: emulated,
    message: /no-bucket/,
    hint: /bridle mkdir/,
  },
  { name: 'gs: no access', url: () => 'gs://no-access/f', env: emulated, message: /no-access/, hint: /role/ },
  {
    name: 'gs: expired token',
    url: () => 'gs://expired-token/f',
    env: emulated,
    message: /expired-token/,
    hint: /GOOGLE_APPLICATION_CREDENTIALS/,
  },
  {
    name: 'gs: the requester pays',
    url: () => 'gs://payer/f',
    env: emulated,
    message: /payer/,
    hint: /GOOGLE_CLOUD_QUOTA_PROJECT/,
  },
  {
    name: 'gs: clock skew',
    url: () => 'gs://bucket/f',
    env: refusedBy(
      '{"error":"invalid_grant","error_description":"Token must be short-lived; check your iat and exp values"}',
    ),
    message: /invalid_grant/,
    hint: /clock/,
  },
  {
    name: 'gs: a login that has expired',
    url: () => 'gs://bucket/f',
    env: refusedBy('{"error":"invalid_grant","error_description":"Token has been expired or revoked."}'),
    message: /invalid_grant/,
    hint: /login has expired/,
  },
  {
    name: 'gs: an endpoint that is none',
    url: () => 'gs://bucket/f',
    env: () => ({ STORAGE_EMULATOR_HOST: 'no host at all' }),
    message: /STORAGE_EMULATOR_HOST: expected/,
  },
  {
    name: 'gs: connection refused',
    url: () => 'gs://bucket/f',
    env: () => ({ STORAGE_EMULATOR_HOST: `127.0.0.1:${closed}` }),
    message: /127\.0\.0\.1:\d+|bucket/,
    isTransient: true,
  },
];

test.each(REFUSALS)('P6 $name is told by name, and what is permanent is not tried again', async (refusal) => {
  const cwd = scratch();
  const report = join(cwd, 'report.json');
  fs.writeFileSync(join(cwd, 'from'), 'from');
  const ends = refusal.isUpload ? [join(cwd, 'from'), refusal.url()] : [refusal.url(), join(cwd, 'to')];
  const args = ['cp', '--attempts', '2', '--report', report, ...ends];
  const { status, stderr } = await bridle(args, { cwd, env: { SSL_CERT_FILE: CA, ...refusal.env?.() } });
  expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringMatching(refusal.message) });
  if (refusal.hint) expect(stderr).toMatch(/hint: /);
  if (refusal.hint) expect(stderr).toMatch(refusal.hint);
  expect(stderr).not.toContain('wrong@');
  const tries = [...fs.readFileSync(report, 'utf8').matchAll(/"round": ?(\d+)/g)].length;
  if (!refusal.isOpen) expect(tries).toBe(refusal.isTransient ? 2 : 1);
  expect(fs.existsSync(join(cwd, 'to'))).toBe(false);
});
