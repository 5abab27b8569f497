import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { authoritiesOf, readVerifyTls } from '../library/trust.ts';
import { knownSchemes } from '../registry.ts';
import type { Environment } from '../request.ts';
import { chooseTransport } from '../sftp/choice.ts';
import { stateDirectory } from '../state-directory.ts';
import { containerFacts } from './doctor-containers.ts';
import { readCertificateFiles, type ServiceValues } from './session.ts';
import { VERSION } from './version.ts';

/** One thing that was looked at. Holds no secret. */
export interface Fact {
  readonly label: string;
  readonly text: string;
  /** It will not work as it is. */
  readonly isWrong?: boolean;
  readonly hint?: string | undefined;
}

/** Variables that name a file, each also with `_site` behind it, and whether others may read that file. */
const FILE_VARIABLES: Readonly<Record<string, 'secret' | 'public'>> = {
  PEGASUS_CREDENTIALS: 'secret',
  S3CFG: 'secret',
  NETRC: 'secret',
  BEARER_TOKEN_FILE: 'secret',
  X509_USER_PROXY: 'secret',
  SSH_PRIVATE_KEY: 'secret',
  SSH_KNOWN_HOSTS: 'public',
  BRIDLE_SSH_CONFIG: 'public',
  GOOGLE_APPLICATION_CREDENTIALS: 'secret',
  GOOGLE_PKCS12: 'secret',
  BOTO_CONFIG: 'secret',
  AWS_SHARED_CREDENTIALS_FILE: 'secret',
  AWS_CONFIG_FILE: 'public',
  AWS_WEB_IDENTITY_TOKEN_FILE: 'public',
};

/** Variables that are secrets themselves, or choose among them. Only that they are set is told. */
const VALUE_VARIABLES = [
  'BEARER_TOKEN',
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_NO_SIGN_REQUEST',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'STORAGE_EMULATOR_HOST',
  'CLOUDSDK_AUTH_DISABLE_CREDENTIALS',
  'SSH_AUTH_SOCK',
];

/** Files that are looked at where no variable names another. */
function usualFiles(env: Environment, home: string): readonly string[] {
  const uid = process.geteuid?.() ?? 0;
  return [
    ...['.pegasus/credentials.conf', '.pegasus/s3cfg', '.netrc', '.aws/credentials'].map((name) =>
      join(home, name),
    ),
    join(env.CLOUDSDK_CONFIG || join(home, '.config/gcloud'), 'application_default_credentials.json'),
    join(home, '.ssh/known_hosts'),
    ...(env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, `bt_u${uid}`)] : []),
    `/tmp/bt_u${uid}`,
    `/tmp/x509up_u${uid}`,
  ];
}

const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'OSG_SQUID_LOCATION'];

/** What this machine and this environment have for transfers. */
export async function machineFacts(values: ServiceValues, env: Environment): Promise<readonly Fact[]> {
  const home = env.HOME || homedir();
  return [
    { label: 'bridle', text: VERSION },
    { label: 'node', text: `${process.versions.node}, ${process.execPath}` },
    { label: 'machine', text: `${process.platform} ${process.arch}` },
    { label: 'speaks', text: knownSchemes().join(' ') },
    sshFact(env),
    proxyFact(env),
    await trustFact(values, env),
    ...verificationFacts(values, env),
    ...credentialFacts(env, home),
    stateFact(env.BRIDLE_STATE || stateDirectory(env, home)),
    ...containerFacts(env),
  ];
}

function sshFact(env: Environment): Fact {
  const program = env.BRIDLE_SSH || undefined;
  const choice = chooseTransport({ environment: env, ...(program === undefined ? {} : { program }) });
  const text =
    choice.kind === 'ssh' ? `${choice.program} (${choice.why})` : `the built-in client (${choice.why})`;
  return { label: 'sftp, scp', text: `by ${text}` };
}

function proxyFact(env: Environment): Fact {
  const named = PROXY_VARIABLES.flatMap((name) => [name, name.toUpperCase()]).filter((name) => env[name]);
  const text = [...new Set(named)].join(', ');
  return { label: 'proxies', text: text === '' ? 'none' : `as ${text} say` };
}

async function trustFact(values: ServiceValues, env: Environment): Promise<Fact> {
  const named = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'X509_CERT_DIR'].filter((name) => env[name]);
  const places = ['built-in', ...values.ca, ...named];
  try {
    await authoritiesOf(readCertificateFiles(values.ca), env)();
    return { label: 'trusts', text: places.join(', ') };
  } catch (error) {
    return { label: 'trusts', text: error instanceof Error ? error.message : 'unreadable', isWrong: true };
  }
}

function verificationFacts(values: ServiceValues, env: Environment): readonly Fact[] {
  const facts: Fact[] = [];
  if (!readVerifyTls(env)) {
    facts.push({ label: 'TLS', text: 'NOT verified (BRIDLE_TLS_VERIFY)', isWrong: true });
  }
  if (values.sshHostKey === 'off') {
    facts.push({ label: 'host keys', text: 'NOT verified (--ssh-host-key off)', isWrong: true });
  }
  return facts;
}

function credentialFacts(env: Environment, home: string): readonly Fact[] {
  const facts: Fact[] = [];
  for (const name of Object.keys(env).sort()) {
    const value = env[name];
    const known = Object.keys(FILE_VARIABLES).find((one) => name === one || name.startsWith(`${one}_`));
    if (!value) continue;
    if (VALUE_VARIABLES.includes(name)) facts.push({ label: 'credentials', text: `${name} is set` });
    else if (known) facts.push(fileFact(`${name}: ${value}`, value, FILE_VARIABLES[known] === 'secret'));
  }
  for (const path of usualFiles(env, home)) {
    if (existsSync(path)) facts.push(fileFact(path, path, !path.endsWith('known_hosts')));
  }
  return facts.length > 0 ? facts : [{ label: 'credentials', text: 'none found' }];
}

function fileFact(shown: string, path: string, isSecret: boolean): Fact {
  const fact = { label: 'credentials', text: shown };
  const wrong = (what: string, hint?: string): Fact => ({
    ...fact,
    text: `${shown}: ${what}`,
    isWrong: true,
    hint,
  });
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return wrong('no regular file');
    accessSync(path, constants.R_OK);
    if (!isSecret || (stat.mode & 0o077) === 0) return fact;
    return wrong(`others may read it (mode 0${(stat.mode & 0o777).toString(8)})`, `chmod 600 ${path}`);
  } catch (error) {
    return wrong(errnoOf(error) === 'ENOENT' ? 'no such file' : 'cannot be read');
  }
}

function stateFact(path: string): Fact {
  for (let at = path; ; at = dirname(at)) {
    if (!existsSync(at) && at !== dirname(at)) continue;
    try {
      accessSync(at, constants.W_OK);
      return { label: 'state', text: path };
    } catch {
      const text = `${path}: cannot be written to, so uploads that break off start over`;
      return { label: 'state', text, isWrong: true, hint: '--state DIR or BRIDLE_STATE names another' };
    }
  }
}
