import { mkdir, symlink } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { at, errorOf, everythingIn, MARK, setUp, UID, useScratch } from './scratch.ts';

const scratch = useScratch();
const HTTPS = at('https://h/f');

async function bearer(env: Record<string, string>, url = 'https://h/f'): Promise<string | undefined> {
  return (await setUp(scratch, env).credentials.secretsFor(...at(url))).bearer;
}

describe('where a token is looked for', () => {
  test('BEARER_TOKEN, its file, the run-time directory, the shared directory, in this order', async () => {
    await mkdir(scratch.path('run'));
    await scratch.write(`bt_u${UID}`, 'of-shared\n');
    await scratch.write(`run/bt_u${UID}`, 'of-run');
    const run = { XDG_RUNTIME_DIR: scratch.path('run') };
    const file = { ...run, BEARER_TOKEN_FILE: await scratch.write('token', ' of-file \r\n') };
    expect(await bearer({ ...file, BEARER_TOKEN: '\tof-variable\v' })).toBe('of-variable');
    expect(await bearer(file)).toBe('of-file');
    expect(await bearer(run)).toBe('of-run');
    expect(await bearer({})).toBe('of-shared');
  });

  test('what is empty is passed over', async () => {
    await scratch.write(`bt_u${UID}`, 'of-shared');
    const BEARER_TOKEN_FILE = await scratch.write('token', ' \n\f');
    expect(await bearer({ BEARER_TOKEN: ' ', BEARER_TOKEN_FILE, XDG_RUNTIME_DIR: '/none' })).toBe(
      'of-shared',
    );
  });

  test('a missing BEARER_TOKEN_FILE is passed over with a warning', async () => {
    const { credentials, warnings } = setUp(scratch, { BEARER_TOKEN_FILE: '/none/token' });
    expect(await credentials.secretsFor(...HTTPS)).toEqual({});
    expect(warnings).toEqual([
      'reading `/none/token` (BEARER_TOKEN_FILE): no such file, going on without it',
    ]);
  });

  test.each(['two words', 'a,b', 'a\nb', '=', 'é', '{"access_token":"a"}'])(
    'S5 %j is no token: refused, and not shown',
    async (text) => {
      const path = await scratch.write('token', `${text} ${MARK}`);
      for (const env of [{ BEARER_TOKEN: `${text} ${MARK}` }, { BEARER_TOKEN_FILE: path }]) {
        const error = await errorOf(() => bearer(env));
        expect(error.code).toBe('invalid-request');
        expect(error.message).toContain(Object.keys(env)[0]);
        expect(everythingIn(error)).not.toContain(MARK);
      }
    },
  );
});

describe('who is shown a token', () => {
  test('S5 only an encrypted service or this machine', async () => {
    const env = { BEARER_TOKEN: 'token' };
    for (const url of ['https://h/f', 'http://localhost/f', 'http://127.1.2.3:80/f', 'http://[::1]:8080/f']) {
      expect(await bearer(env, url), url).toBe('token');
    }
    for (const url of [
      'http://h/f',
      'http://localhost.evil.org/f',
      'http://127.0.0.1.evil.org/f',
      'http://xlocalhost/f',
      'http://[::2]/f',
      'ftp://h/f',
    ]) {
      expect(await bearer(env, url), url).toBeUndefined();
    }
  });

  test('no host that has other credentials', async () => {
    const env = {
      BEARER_TOKEN: 'token',
      PEGASUS_CREDENTIALS: await scratch.write('c', '[b]\nusername = joe\n[a]\nheader.Authorization = A\n'),
    };
    expect(await bearer(env, 'https://b/f')).toBeUndefined();
    expect(await bearer(env, 'https://a/f')).toBeUndefined();
    expect(await bearer(env, 'https://joe@h/f')).toBeUndefined();
  });
});

describe('token files', () => {
  test('a rotated token is used after a second, and at once after a 401', async () => {
    const env = { BEARER_TOKEN_FILE: await scratch.write('token', 'first') };
    const { credentials, clock } = setUp(scratch, env);
    const token = async (again = false) => (await credentials.secretsFor(HTTPS[0], undefined, again)).bearer;
    expect(await token()).toBe('first');
    await scratch.write('token', 'second');
    expect(await token()).toBe('first');
    expect(await token(true)).toBe('second');
    await scratch.write('token', 'third');
    clock.time += 1000;
    expect(await token()).toBe('third');
  });

  test.each(['BEARER_TOKEN_FILE', undefined])(
    'S12 a token of ours in the shared directory that others can read is refused (%s)',
    async (variable) => {
      const path = await scratch.write(`bt_u${UID}`, 'token', 0o644);
      const error = await errorOf(() => bearer(variable === undefined ? {} : { [variable]: path }));
      expect(error.code).toBe('permission-denied');
      expect(error.hint).toBe(`chmod 600 ${path}`);
    },
  );

  test('S12 a token that another user planted in the shared directory is not used and stops nothing', async () => {
    const planted = await scratch.write('planted', MARK);
    const owner = await scratch.disown(planted);
    const uid = owner + 1;
    const plant = [
      async () => scratch.disown(await scratch.write(`bt_u${uid}`, MARK)),
      () => symlink('planted', scratch.path(`bt_u${uid + 1}`)),
      () => mkdir(scratch.path(`bt_u${uid + 2}`)),
    ];
    for (const [index, put] of plant.entries()) {
      await put();
      const { credentials, warnings } = setUp(scratch, {}, uid + index);
      expect(await credentials.secretsFor(...HTTPS)).toEqual({});
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain('going on without it');
    }
  });

  test('S12 a link in the shared directory is not followed, not even to a file of ours', async () => {
    await mkdir(scratch.path('private'));
    await scratch.write('private/other', MARK);
    await symlink('private/other', scratch.path(`bt_u${UID}`));
    expect(await bearer({})).toBeUndefined();
    const error = await errorOf(() => bearer({ BEARER_TOKEN_FILE: scratch.path(`bt_u${UID}`) }));
    expect(error.message).toContain('expected a regular file, got a symbolic link');
  });

  test('a token file elsewhere may be open to others, as mounted secrets are', async () => {
    await mkdir(scratch.path('mounted'));
    const BEARER_TOKEN_FILE = await scratch.write('mounted/token', 'token', 0o644);
    expect(await bearer({ BEARER_TOKEN_FILE })).toBe('token');
  });
});
