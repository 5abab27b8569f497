import { readFileSync } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { at, errorOf, everythingIn, setUp, UID, useScratch } from './scratch.ts';

const scratch = useScratch();
const tls = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'latin1');
const CERTIFICATE = tls('server.pem');
const KEY = tls('server.key');
const CHAIN = CERTIFICATE + KEY + tls('ca.pem');

afterEach(() => void vi.useRealTimers());

/** A secret in the key's own text. */
const SECRET = KEY.split('\n')[3] ?? '';

describe('X509_USER_PROXY', () => {
  test('is the certificate, its key and its chain, for encrypted schemes alone', async () => {
    const file = await scratch.write('proxy', CHAIN);
    const { credentials } = setUp(scratch, { X509_USER_PROXY: file });
    for (const scheme of ['https', 'davs', 'webdavs']) {
      const { certificate } = await credentials.secretsFor(...at(`${scheme}://h/f`));
      expect(certificate?.chain.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
      expect(certificate?.key).toBe(KEY.trim());
    }
    for (const scheme of ['http', 'dav', 'webdav']) {
      expect(await credentials.secretsFor(...at(`${scheme}://h/f`))).toEqual({});
    }
    expect(await credentials.describeSource(...at('davs://h/f'))).toBe('certificate of X509_USER_PROXY');
  });

  test('of a site goes before the general one, and is another identity', async () => {
    const [one, other] = [await scratch.write('one', CHAIN), await scratch.write('other', CHAIN)];
    const { credentials } = setUp(scratch, { X509_USER_PROXY: one, X509_USER_PROXY_site_a: other });
    const idAt = async (site: string) =>
      (await credentials.secretsFor(...at('davs://h/f', site))).certificate?.id;
    expect(await credentials.describeSource(...at('davs://h/f', 'site-a'))).toMatch(
      /X509_USER_PROXY_site_a$/,
    );
    expect(await idAt('site-a')).not.toBe(await idAt('site-b'));
    expect(await idAt('site-b')).toBe(await idAt(''));
  });

  test('goes along with other credentials', async () => {
    const { credentials } = setUp(scratch, {
      X509_USER_PROXY: await scratch.write('p', CHAIN),
      BEARER_TOKEN: 'abc',
    });
    expect(await credentials.secretsFor(...at('https://h/f'))).toMatchObject({
      bearer: 'abc',
      certificate: { key: KEY.trim() },
    });
  });

  test('S12 B5 that others can read is refused, with the way to mend it', async () => {
    const file = await scratch.write('proxy', CHAIN, 0o644);
    const { credentials } = setUp(scratch, { X509_USER_PROXY: file });
    const error = await errorOf(() => credentials.secretsFor(...at('davs://h/f')));
    expect(error).toMatchObject({ code: 'permission-denied', hint: `chmod 600 ${file}` });
  });

  const bad = [
    ['is missing', undefined, 'no such file'],
    ['has no key', CERTIFICATE, 'expected a private key in PEM form'],
    ['has no certificate', KEY, 'expected a certificate in PEM form'],
    [
      "has another's key",
      CERTIFICATE + tls('other.key'),
      'the private key is not that of the first certificate',
    ],
    ['is garbled', CHAIN.replace(SECRET, '????'), 'the private key cannot be read'],
    ['has a passphrase', CERTIFICATE + KEY.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'), 'has a passphrase'],
  ] as const;

  test.each(bad)('B5 that %s is refused where it is named for the site', async (_, text, message) => {
    const file = text === undefined ? scratch.path('absent') : await scratch.write('proxy', text);
    const { credentials } = setUp(scratch, { X509_USER_PROXY_s: file });
    const error = await errorOf(() => credentials.secretsFor(...at('davs://h/f', 's')));
    expect(error.code).toBe('invalid-request');
    expect(error.message).toContain(`reading \`${file}\` (X509_USER_PROXY_s): `);
    expect(error.message).toContain(message);
    expect(everythingIn(error)).not.toContain(SECRET);
  });

  test.each(bad)(
    'B5 that %s is passed over with a warning where it is named for all',
    async (_, text, message) => {
      const file = text === undefined ? scratch.path('absent') : await scratch.write('proxy', text);
      const { credentials, warnings } = setUp(scratch, { X509_USER_PROXY: file });
      for (let round = 0; round < 2; round++) {
        expect(await credentials.secretsFor(...at('https://h/public'))).toEqual({});
      }
      expect(warnings).toEqual([expect.stringContaining(message)]);
    },
  );

  test('B5 that has expired says so, and how to make a new one', async () => {
    const file = await scratch.write('proxy', CHAIN);
    const { credentials } = setUp(scratch, { X509_USER_PROXY_s: file });
    vi.useFakeTimers({ now: new Date('2999-01-01'), toFake: ['Date'] });
    const error = await errorOf(() => credentials.secretsFor(...at('davs://h/f', 's')));
    expect(error).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('voms-proxy-init'),
    });
    expect(error.message).toMatch(/the certificate expired on \d{4}-/);
  });

  test('F13 that was renewed is read again when asked again', async () => {
    const file = await scratch.write('proxy', CHAIN);
    const { credentials } = setUp(scratch, { X509_USER_PROXY: file });
    const before = await credentials.secretsFor(...at('davs://h/f'));
    await scratch.write('proxy', `${tls('other.pem')}${tls('other.key')}`);
    const after = await credentials.secretsFor(...at('davs://h/f'), true);
    expect(after.certificate?.id).not.toBe(before.certificate?.id);
    expect(after.certificate?.key).toBe(tls('other.key').trim());
  });
});

describe('the proxy that grid tools leave in /tmp', () => {
  const NAME = `x509up_u${UID}`;

  test('is shown when no variable names another', async () => {
    await scratch.write(NAME, CHAIN);
    const other = await scratch.write('other', `${tls('other.pem')}${tls('other.key')}`);
    const keyWith = async (env: Record<string, string>) =>
      (await setUp(scratch, env).credentials.secretsFor(...at('davs://h/f', 's'))).certificate?.key;
    expect(await keyWith({})).toBe(KEY.trim());
    expect(await keyWith({ X509_USER_PROXY: other })).toBe(tls('other.key').trim());
    expect(await keyWith({ X509_USER_PROXY_s: other })).toBe(tls('other.key').trim());
    const { credentials, warnings } = setUp(scratch, {});
    expect(await credentials.describeSource(...at('https://h/f'))).toBe(
      `certificate of ${scratch.path(NAME)}`,
    );
    expect(warnings).toEqual([]);
  });

  test('that is not there is nothing to speak of', async () => {
    const { credentials, warnings } = setUp(scratch, {});
    expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({});
    expect(warnings).toEqual([]);
  });

  test('S12 that others can read is refused, with the way to mend it', async () => {
    const file = await scratch.write(NAME, CHAIN, 0o640);
    const error = await errorOf(() => setUp(scratch, {}).credentials.secretsFor(...at('https://h/f')));
    expect(error).toMatchObject({ code: 'permission-denied', hint: `chmod 600 ${file}` });
    expect(error.message).toContain('expected mode 0600, got 0640');
  });

  test('S12 that another user planted is passed over with a warning, as file and as link', async () => {
    const owner = await scratch.disown(await scratch.write(NAME, CHAIN));
    const mine = owner === UID ? UID + 1 : UID;
    const link = async () => {
      await scratch.write('elsewhere', CHAIN);
      await symlink(scratch.path('elsewhere'), scratch.path(`x509up_u${mine}`));
    };
    if (mine !== UID) await scratch.write(`x509up_u${mine}`, CHAIN);
    for (const plant of [async () => {}, async () => rm(scratch.path(`x509up_u${mine}`)).then(link)]) {
      await plant();
      const { credentials, warnings } = setUp(scratch, {}, mine);
      expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({});
      expect(warnings).toEqual([
        expect.stringMatching(/expected a (regular file|file of user \d+), got .*going on without it/),
      ]);
    }
  });
});

describe('WebDAV URLs', () => {
  test('take the sections of their own scheme, then those of http or https', async () => {
    const file = await scratch.write(
      'c',
      '[https://h]\nusername = tls\n[davs://h]\nusername = own\n[http://h]\nusername = open\n[i]\nusername = bare\n',
    );
    const { credentials } = setUp(scratch, { PEGASUS_CREDENTIALS: file });
    const userAt = async (url: string) => (await credentials.secretsFor(...at(url))).username;
    expect(await userAt('davs://h/f')).toBe('own');
    expect(await userAt('webdavs://h:443/f')).toBe('own');
    expect(await userAt('webdav://h/f')).toBe('open');
    expect(await userAt('dav://i/f')).toBe('bare');
    expect(await userAt('webdavs://h:8443/f')).toBeUndefined();
  });

  test('P10 S5 a section that names the encrypted scheme says nothing to the other', async () => {
    const file = await scratch.write('c', '[https://h]\nusername = tls\n');
    const { credentials } = setUp(scratch, { PEGASUS_CREDENTIALS: file });
    expect(await credentials.secretsFor(...at('dav://h:443/f'))).toEqual({});
  });

  test('P10 a token goes to them only encrypted, or to this machine', async () => {
    const { credentials } = setUp(scratch, { BEARER_TOKEN: 'abc' });
    expect(await credentials.secretsFor(...at('davs://h/f'))).toEqual({ bearer: 'abc' });
    expect(await credentials.secretsFor(...at('dav://h/f'))).toEqual({});
    expect(await credentials.secretsFor(...at('dav://localhost/f'))).toEqual({ bearer: 'abc' });
  });
});
