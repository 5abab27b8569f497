import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import metadata from '../package.json' with { type: 'json' };
import { bridle, scratch } from './commands/run-command.ts';

const PACKAGES = Object.keys(metadata.dependencies);

/** Writes down the name of every package that a module asks for. */
const HOOKS = `
import { appendFileSync } from 'node:fs';
export async function resolve(specifier, context, next) {
  if (/^[a-z@]/.test(specifier) && !/^(?:node|file|data):/.test(specifier)) {
    appendFileSync(process.env.LOADED, specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/') + '\\n');
  }
  return next(specifier, context);
}`;

/** A port that nobody listens on. */
let port = 0;
beforeAll(async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
});

/** Names of ours that \`bridle ARGS\` loads. */
async function loadedBy(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const cwd = scratch();
  const at = (text: string) => text.replaceAll('PORT', String(port)).replaceAll('HERE', cwd);
  const [hooks, register, loaded] = ['hooks.mjs', 'register.mjs', 'loaded'].map((name) => join(cwd, name));
  writeFileSync(`${hooks}`, HOOKS);
  writeFileSync(
    `${register}`,
    `import { register } from 'node:module';\nregister(${JSON.stringify(pathToFileURL(`${hooks}`).href)});\n`,
  );
  writeFileSync(join(cwd, 'a'), 'content');
  writeFileSync(join(cwd, 'account.json'), '{"type":"service_account"}', { mode: 0o600 });
  writeFileSync(join(cwd, 'remote.yaml'), 'Remotes: {}\n', { mode: 0o600 });
  writeFileSync(join(cwd, 'profiles'), '[p]\naws_access_key_id = AK\naws_secret_access_key = SK\n');
  const own = Object.entries(env).map(([name, value]) => [name, at(value)] as const);
  const NODE_OPTIONS = `--import ${pathToFileURL(`${register}`).href}`;
  await bridle(args.map(at), { cwd, env: { ...Object.fromEntries(own), NODE_OPTIONS, LOADED: `${loaded}` } });
  const names = existsSync(`${loaded}`) ? readFileSync(`${loaded}`, 'utf8').trim().split('\n') : [];
  return [...new Set(names)].filter((name) => PACKAGES.includes(name)).sort();
}

const KEYS = { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 'SK', AWS_REGION: 'here' };
const S3 = { AWS_ENDPOINT_URL: 'http://127.0.0.1:PORT', AWS_EC2_METADATA_DISABLED: 'true' };
const EMULATED = { STORAGE_EMULATOR_HOST: '127.0.0.1:PORT' };
const REMOTE = { BRIDLE_LIBRARY_URL: 'http://127.0.0.1:PORT', APPTAINER_CONFIGDIR: 'HERE' };
const READ = ['cp', '-q', '-m', '1'];

test.each<[string, readonly string[], Readonly<Record<string, string>>, readonly string[]]>([
  ['the version', ['--version'], {}, []],
  ['a copy here', ['cp', '-q', 'a', 'b'], {}, []],
  ['http', [...READ, 'http://127.0.0.1:PORT/f', 'b'], {}, []],
  ['ftp', [...READ, 'ftp://127.0.0.1:PORT/f', 'b'], {}, []],
  ['sftp', [...READ, 'sftp://127.0.0.1:PORT/f', 'b'], { BRIDLE_SSH: '/bin/false' }, []],
  ['sftp without ssh', [...READ, 'sftp://127.0.0.1:PORT/f', 'b'], { BRIDLE_SSH: 'none' }, ['ssh2']],
  ['dav', [...READ, 'dav://127.0.0.1:PORT/f', 'b'], {}, ['fast-xml-parser']],
  ['s3', [...READ, 's3://bucket/f', 'b'], { ...KEYS, ...S3 }, []],
  [
    's3 by a profile',
    [...READ, 's3://bucket/f', 'b'],
    { ...S3, AWS_PROFILE: 'p', AWS_SHARED_CREDENTIALS_FILE: 'HERE/profiles' },
    ['@aws-sdk/core', '@aws-sdk/credential-provider-node', '@smithy/shared-ini-file-loader'],
  ],
  ['gs', [...READ, 'gs://bucket/f', 'b'], EMULATED, []],
  ['oras', [...READ, 'oras://127.0.0.1:PORT/a:1', 'b'], {}, []],
  ['library', [...READ, 'library://127.0.0.1:PORT/a/b/c', 'b'], {}, []],
  ['library with a remote', [...READ, 'library://a/b/c', 'b'], REMOTE, ['yaml']],
  ['shub', [...READ, 'shub://127.0.0.1:PORT/a/b', 'b'], {}, []],
  [
    'gs with an account',
    [...READ, 'gs://bucket/f', 'b'],
    { GOOGLE_APPLICATION_CREDENTIALS: 'HERE/account.json' },
    ['google-auth-library'],
  ],
])('%s loads the packages that it needs and no other', async (_what, args, env, expected) => {
  expect(await loadedBy(args, env)).toEqual(expected);
});
