import { mkdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { at, errorOf, everythingIn, MARK, setUp, useScratch } from './scratch.ts';

const scratch = useScratch();

const basic = (login: string) => Buffer.from(login).toString('base64');

async function docker(content: unknown, mode?: number): Promise<{ DOCKER_CONFIG: string }> {
  await mkdir(scratch.path('docker'), { recursive: true });
  await scratch.write('docker/config.json', JSON.stringify(content), mode);
  return { DOCKER_CONFIG: scratch.path('docker') };
}

/** A credential helper that says `output` and ends with `status`; what it is asked lands in `asked`. */
async function helper(name: string, output: string, status = 0): Promise<{ PATH: string }> {
  const script = `#!/bin/sh\n{ echo "$*"; cat; echo; } >> '${scratch.path('asked')}'\necho '${output}'\nexit ${status}\n`;
  await scratch.write(`docker-credential-${name}`, script, 0o700);
  return { PATH: `${scratch.directory}:/usr/bin:/bin` };
}

async function login(env: Record<string, string>, url = 'docker://host.example.org/a/b:1', site = '') {
  return setUp(scratch, env).credentials.secretsFor(...at(url, site));
}

describe('the login for a registry', () => {
  test.each([
    ['the host', 'host.example.org'],
    ['its URL', 'https://host.example.org'],
    ['its first API', 'https://host.example.org/v1/'],
    ['the repository', 'host.example.org/a/b'],
    ['what is above the repository', 'host.example.org/a'],
  ])('stands under %s', async (_, key) => {
    const env = await docker({
      auths: { other: { auth: basic('no:no') }, [key]: { auth: basic('me:pass:word') } },
    });
    expect(await login(env)).toEqual({ username: 'me', password: 'pass:word' });
  });

  test('of a repository goes before that of its registry', async () => {
    const env = await docker({
      auths: {
        'host.example.org': { auth: basic('all:1') },
        'host.example.org/a': { auth: basic('some:2') },
      },
    });
    expect(await login(env)).toEqual({ username: 'some', password: '2' });
    expect(await login(env, 'oci://host.example.org/c/d')).toEqual({ username: 'all', password: '1' });
  });

  test.each(['docker://alpine:3.20', 'docker:///rynge/montage:latest', 'docker://index.docker.io/a/b'])(
    'of Docker Hub is found for `%s` under the names that it has',
    async (url) => {
      for (const key of ['https://index.docker.io/v1/', 'docker.io']) {
        expect(await login(await docker({ auths: { [key]: { auth: basic('hub:1') } } }), url)).toEqual({
          username: 'hub',
          password: '1',
        });
      }
    },
  );

  test.each([
    [{ auth: Buffer.from('me:word\0\0').toString('base64') }, { username: 'me', password: 'word' }],
    [
      { username: 'me', password: 'word' },
      { username: 'me', password: 'word' },
    ],
    [{ identitytoken: 'id', auth: basic('me:') }, { registry: { identityToken: 'id' } }],
    [{ registrytoken: 'of-the-registry' }, { bearer: 'of-the-registry' }],
    [{}, {}],
  ])('may be %j', async (entry, secrets) => {
    expect(await login(await docker({ auths: { 'host.example.org': entry } }))).toEqual(secrets);
  });

  test('is looked for in the URL, the credentials file, and the login files, in this order', async () => {
    const conf = await scratch.write('conf', '[host.example.org]\nusername = section\npassword = 1\n');
    const file = async (name: string, user: string) =>
      scratch.write(name, JSON.stringify({ auths: { 'host.example.org': { auth: basic(`${user}:1`) } } }));
    await mkdir(scratch.path('.config/containers'), { recursive: true });
    await mkdir(scratch.path('.docker'));
    await file('.docker/config.json', 'docker');
    const user = async (env: Record<string, string>, url?: string) =>
      (await login(env, url, 'the-site')).username;
    expect(await user({})).toBe('docker');
    await file('.config/containers/auth.json', 'podman');
    expect(await user({})).toBe('podman');
    const all = { REGISTRY_AUTH_FILE: await file('named', 'named') };
    expect(await user(all)).toBe('named');
    const ofSite = { ...all, REGISTRY_AUTH_FILE_the_site: await file('site', 'site') };
    expect(await user(ofSite)).toBe('site');
    expect((await login(ofSite)).username).toBe('named');
    expect(await user({ ...ofSite, PEGASUS_CREDENTIALS: conf })).toBe('section');
    expect(await user({ ...ofSite, PEGASUS_CREDENTIALS: conf }, 'docker://url:1@host.example.org/a/b')).toBe(
      'url',
    );
  });

  test('S1 of apptainer goes to Docker Hub alone, for its variables name no registry', async () => {
    const env = { APPTAINER_DOCKER_USERNAME: 'me', APPTAINER_DOCKER_PASSWORD: MARK };
    expect(await login(env, 'docker://alpine')).toEqual({ username: 'me', password: MARK });
    expect(await login(env)).toEqual({});
  });

  test('is none of those for other services: no bearer token goes to a registry', async () => {
    await scratch.write('.netrc', 'machine host.example.org login me password x\n');
    expect(await login({ BEARER_TOKEN: 'token' })).toEqual({});
  });
});

describe('a credential helper', () => {
  const answer = JSON.stringify({ ServerURL: 'host.example.org', Username: 'helped', Secret: MARK });

  test('of the registry goes before the one for all, and that before what the file says', async () => {
    const path = await helper('one', answer);
    await helper('all', JSON.stringify({ Username: 'all', Secret: '1' }));
    const auths = { 'host.example.org': { auth: basic('file:1') } };
    const both = await docker({ credHelpers: { 'host.example.org': 'one' }, credsStore: 'all', auths });
    expect(await login({ ...both, ...path })).toEqual({ username: 'helped', password: MARK });
    expect(await login({ ...(await docker({ credsStore: 'all', auths })), ...path })).toMatchObject({
      username: 'all',
    });
  });

  test('is asked by `get` for the server that it reads, and is not asked again for each request', async () => {
    const env = { ...(await docker({ credsStore: 'one' })), ...(await helper('one', answer)) };
    const { credentials } = setUp(scratch, env);
    await credentials.secretsFor(...at('docker://host.example.org/a/b:1'));
    await credentials.secretsFor(...at('docker://host.example.org/a/b:1'));
    expect(await readFile(scratch.path('asked'), 'utf8')).toBe('get\nhost.example.org\n');
  });

  test('may have an identity token, or nothing: then the file decides', async () => {
    const token = JSON.stringify({ Username: '<token>', Secret: 'id' });
    const auths = { 'host.example.org': { auth: basic('file:1') } };
    const env = await docker({ credsStore: 'one', auths });
    expect(await login({ ...env, ...(await helper('one', token)) })).toEqual({
      registry: { identityToken: 'id' },
    });
    const none = await helper('one', 'credentials not found in native keychain', 1);
    expect(await login({ ...env, ...none })).toEqual({ username: 'file', password: '1' });
  });

  test.each([
    ['../../bin/sh', 'expected the name of a credential helper'],
    ['a;b', 'expected the name of a credential helper'],
    ['missing', 'there is no such program in PATH'],
  ])('S4 `%s` is refused', async (name, problem) => {
    const env = { ...(await docker({ credsStore: name })), PATH: scratch.directory };
    const error = await errorOf(() => login(env));
    expect(error).toMatchObject({ code: 'invalid-request' });
    expect(error.message).toContain(problem);
  });

  test('S5 that fails, or says something else than JSON, is refused without its words', async () => {
    const env = await docker({ credsStore: 'one' });
    for (const path of [await helper('one', MARK, 3), await helper('one', MARK)]) {
      const error = await errorOf(() => login({ ...env, ...path }));
      expect(error.code).toBe('invalid-request');
      expect(everythingIn(error)).not.toContain(MARK);
    }
  });
});

describe('a login file', () => {
  test('S12 that others can read is refused when it holds the login, and does when it does not', async () => {
    const auths = { 'host.example.org': { auth: basic(`me:${MARK}`) } };
    const env = await docker({ auths }, 0o644);
    const error = await errorOf(() => login(env));
    expect(error.code).toBe('permission-denied');
    expect(everythingIn(error)).not.toContain(MARK);
    expect(await login(env, 'docker://other.example.org/a')).toEqual({});
  });

  test.each([
    ['no JSON', `{"auths": ${MARK}`, 'expected JSON'],
    ['a list', '[]', 'expected a JSON object'],
    [
      'no login',
      JSON.stringify({ auths: { 'host.example.org': { auth: basic(MARK) } } }),
      'expected `auth` to be',
    ],
    [
      'no token',
      JSON.stringify({ auths: { 'host.example.org': { registrytoken: `a ${MARK}` } } }),
      'expected `registrytoken`',
    ],
  ])('B5 with %s is refused, and not shown', async (_, text, problem) => {
    const REGISTRY_AUTH_FILE = await scratch.write('auth.json', text);
    const error = await errorOf(() => login({ REGISTRY_AUTH_FILE }));
    expect(error.code).toBe('invalid-request');
    expect(error.message).toContain(problem);
    expect(everythingIn(error)).not.toContain(MARK);
  });

  test('B5 that a variable names and that is not there is told', async () => {
    expect(await errorOf(() => login({ REGISTRY_AUTH_FILE: '/none/auth.json' }))).toMatchObject({
      code: 'invalid-request',
    });
  });
});
