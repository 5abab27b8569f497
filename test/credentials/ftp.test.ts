import { expect, test } from 'vitest';
import { at, setUp, useScratch } from './scratch.ts';

const scratch = useScratch();

test('ftp and ftps take user and password of the URL, of their section, and of netrc', async () => {
  await scratch.write('.netrc', 'machine n login net password rc\ndefault login any password body\n');
  const { credentials } = setUp(scratch, {
    PEGASUS_CREDENTIALS: await scratch.write(
      'credentials.conf',
      '[ftp://h]\nusername = a\npassword = b\n[ftps://h]\nusername = c\npassword = d\n[other:2121]\nusername = e\n',
    ),
  });
  const secrets = (url: string) => credentials.secretsFor(...at(url));
  expect(await secrets('ftp://u:p@h/f')).toEqual({ username: 'u', password: 'p' });
  expect(await secrets('ftp://h/f')).toEqual({ username: 'a', password: 'b' });
  expect(await secrets('ftp://h:21/f')).toEqual({ username: 'a', password: 'b' });
  expect(await secrets('ftps://h:990/f')).toEqual({ username: 'c', password: 'd' });
  expect(await secrets('ftp://other:2121/f')).toMatchObject({ username: 'e' });
  expect(await secrets('ftp://n/f')).toEqual({ username: 'net', password: 'rc' });
  expect(await secrets('ftp://else/f')).toEqual({ username: 'any', password: 'body' });
});

test('S5 the section of one scheme is not shown to the other', async () => {
  const { credentials } = setUp(scratch, {
    PEGASUS_CREDENTIALS: await scratch.write('c', '[ftps://h]\nusername = c\npassword = d\n'),
  });
  expect(await credentials.secretsFor(...at('ftp://h/f'))).toEqual({});
});

test('a bearer token is nothing that FTP could show', async () => {
  const { credentials } = setUp(scratch, { BEARER_TOKEN: 'token' });
  expect(await credentials.secretsFor(...at('ftps://h/f'))).toEqual({});
  expect(await credentials.secretsFor(...at('ftp://127.0.0.1/f'))).toEqual({});
});

test('whether a login over ftp goes in the clear is for ftp to say: it may turn to TLS first', async () => {
  const { credentials, warnings } = setUp(scratch, {});
  await credentials.secretsFor(...at('ftp://u:p@h/f'));
  expect(warnings).toEqual([]);
});
