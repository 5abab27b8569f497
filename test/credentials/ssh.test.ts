import { statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createCredentials } from '../../src/credentials/credentials.ts';
import { parseUrl } from '../../src/location.ts';
import { UID, useScratch } from './scratch.ts';

const files = useScratch();

function lookUp(url: string, env: Readonly<Record<string, string>>, site = '') {
  const warnings: string[] = [];
  const warn = (_: string, message: string) => void warnings.push(message);
  const credentials = createCredentials({ env, home: files.directory, uid: UID, warn });
  const { location, secret } = parseUrl(url, { site });
  return { warnings, secrets: credentials.secretsFor(location, secret), credentials, location };
}

test.each(['sftp', 'scp'])('%s: the key of the site comes before the general one', async (scheme) => {
  const [own, general] = [await files.write('own', 'key'), await files.write('general', 'key')];
  const env = { SSH_PRIVATE_KEY_site_a: own, SSH_PRIVATE_KEY: general };
  const found = async (site: string) => (await lookUp(`${scheme}://h/x`, env, site).secrets).ssh?.privateKey;
  expect(await found('site-a')).toBe(own);
  expect(await found('site-b')).toBe(general);
  expect(await found('')).toBe(general);
  expect((await lookUp(`${scheme}://h/x`, {}, 'site-a').secrets).ssh).toMatchObject({ hostKey: 'verify' });
});

test('where the key comes from is told by its variable', async () => {
  const env = { SSH_PRIVATE_KEY_site_a: await files.write('own', 'key') };
  const { credentials, location } = lookUp('sftp://h/x', env, 'site-a');
  expect(await credentials.describeSource(location)).toBe('key of SSH_PRIVATE_KEY_site_a');
  const { location: other } = parseUrl('sftp://h/x');
  expect(await credentials.describeSource(other)).toBe('ssh_config, agent or ~/.ssh');
});

test.each([0o644, 0o640, 0o660, 0o604, 0o777])(
  'S12 a key of mode %i is closed to others, with one warning',
  async (mode) => {
    const key = await files.write('key', 'key', mode);
    const { secrets, warnings } = lookUp('sftp://h/x', { SSH_PRIVATE_KEY: key });
    expect((await secrets).ssh?.privateKey).toBe(key);
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(warnings).toEqual([expect.stringContaining('is 0600 now')]);
  },
);

test.each([0o600, 0o400])('a key of mode %i stays as it is', async (mode) => {
  const key = await files.write('key', 'key', mode);
  const { secrets, warnings } = lookUp('sftp://h/x', { SSH_PRIVATE_KEY: key });
  await secrets;
  expect(statSync(key).mode & 0o777).toBe(mode);
  expect(warnings).toEqual([]);
});

test('B5 a file that is named and missing is refused, with the variable', async () => {
  const absent = files.path('absent');
  const key = lookUp('sftp://h/x', { SSH_PRIVATE_KEY: absent }).secrets;
  await expect(key).rejects.toMatchObject({
    code: 'invalid-request',
    message: `reading \`${absent}\` (SSH_PRIVATE_KEY): no such file`,
    hint: 'correct or unset SSH_PRIVATE_KEY',
  });
  const hosts = { SSH_KNOWN_HOSTS_site_a: absent };
  await expect(lookUp('sftp://h/x', hosts, 'site-a').secrets).rejects.toMatchObject({
    code: 'invalid-request',
  });
  const directory = lookUp('sftp://h/x', { SSH_PRIVATE_KEY: files.directory }).secrets;
  await expect(directory).rejects.toMatchObject({
    message: expect.stringContaining('expected a regular file'),
  });
});

test('where new hosts are accepted, the file that is to know them may still be missing', async () => {
  const env = { SSH_KNOWN_HOSTS: files.path('absent'), BRIDLE_SSH_HOST_KEY: 'accept-new' };
  expect((await lookUp('sftp://h/x', env).secrets).ssh).toMatchObject({
    hostKey: 'accept-new',
    knownHosts: files.path('absent'),
  });
});

test('S10 a word that is no policy is refused', async () => {
  const wrong = lookUp('sftp://h/x', { BRIDLE_SSH_HOST_KEY: 'no' }).secrets;
  await expect(wrong).rejects.toMatchObject({ code: 'invalid-request' });
});
