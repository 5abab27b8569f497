import { mkdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { at, errorOf, everythingIn, MARK, setUp, useScratch } from './scratch.ts';

const scratch = useScratch();

const DEFAULT = 'library://lab/tools/montage:1';

/** apptainer's file, as `apptainer remote login` writes it. */
async function remotes(
  text: string,
  { directory = '.apptainer', mode = 0o600 }: { readonly directory?: string; readonly mode?: number } = {},
): Promise<void> {
  await mkdir(scratch.path(directory), { recursive: true });
  await scratch.write(`${directory}/remote.yaml`, text, mode);
}

const remote = (name: string, uri: string, token: string) =>
  `  ${name}:\n    URI: ${uri}\n    Token: ${token}\n    System: false\n    Exclusive: false\n`;

function found(url: string, env: Record<string, string> = {}, site = '') {
  return setUp(scratch, env).credentials.secretsFor(...at(url, site));
}

describe('the token for a library', () => {
  test('of Sylabs is the one of its cloud, and no other library gets it', async () => {
    await remotes(`Active: SylabsCloud\nRemotes:\n${remote('SylabsCloud', 'cloud.sylabs.io', MARK)}`);
    expect(await found(DEFAULT)).toEqual({ bearer: MARK });
    expect(await found('library://library.sylabs.io/a/b/c')).toEqual({ bearer: MARK });
    for (const other of ['library.sylabs.io:444', 'library.sylabs.io.example.org', 'example.org']) {
      expect(await found(`library://${other}/a/b/c`)).toEqual({});
    }
    expect(await found(DEFAULT, { BRIDLE_LIBRARY_URL: 'https://example.org' })).toEqual({});
  });

  test('is that of the remote in use where two are of one host', async () => {
    await remotes(
      `Active: Two\nRemotes:\n${remote('One', 'lib.example.org', 'one')}${remote('Two', 'https://lib.example.org/', 'two')}`,
    );
    expect(await found('library://lib.example.org/a/b/c')).toEqual({ bearer: 'two' });
    expect(await found(DEFAULT, { BRIDLE_LIBRARY_URL: 'https://lib.example.org/api' })).toEqual({
      bearer: 'two',
    });
  });

  test('of Singularity is used where apptainer has none, and APPTAINER_CONFIGDIR goes before both', async () => {
    const url = 'library://lib.example.org/a/b/c';
    await remotes(`Remotes:\n${remote('R', 'lib.example.org', 'old')}`, { directory: '.singularity' });
    expect(await found(url)).toEqual({ bearer: 'old' });
    await remotes(`Remotes:\n${remote('R', 'lib.example.org', 'new')}`);
    expect(await found(url)).toEqual({ bearer: 'new' });
    await remotes(`Remotes:\n${remote('R', 'lib.example.org', 'own')}`, { directory: 'conf' });
    expect(await found(url, { APPTAINER_CONFIGDIR: scratch.path('conf') })).toEqual({ bearer: 'own' });
  });

  test('S1 never goes over http to another machine', async () => {
    await remotes(
      `Remotes:\n${remote('R', 'lib.example.org', MARK)}${remote('S', 'localhost:8080', 'near')}`,
    );
    expect(await found(DEFAULT, { BRIDLE_LIBRARY_URL: 'http://lib.example.org' })).toEqual({});
    expect(await found(DEFAULT, { BRIDLE_LIBRARY_URL: 'http://localhost:8080' })).toEqual({ bearer: 'near' });
  });

  test('of a section goes before it, one without a login beside it', async () => {
    await remotes(`Remotes:\n${remote('R', 'lib.example.org', 'token')}`);
    const url = 'library://lib.example.org/a/b/c';
    const own = await scratch.write('own', '[https://lib.example.org]\nheader.Authorization = Bearer own\n');
    expect(await found(url, { PEGASUS_CREDENTIALS: own })).toEqual({
      headers: { authorization: 'Bearer own' },
    });
    const other = await scratch.write('other', '[lib.example.org]\nverify = false\n');
    expect(await found(url, { PEGASUS_CREDENTIALS: other })).toEqual({ verifyTls: false, bearer: 'token' });
  });

  test.each([
    ['Remotes: [', 'expected YAML, got something else'],
    [
      `Remotes:\n${remote('R', 'lib.example.org', `"${MARK} with spaces"`)}`,
      'expected `Token` to be a token',
    ],
  ])('S1 in a file that is malformed is an error that shows nothing of it', async (text, problem) => {
    await remotes(text);
    const error = await errorOf(() => found('library://lib.example.org/a/b/c'));
    expect(error.code).toBe('invalid-request');
    expect(error.message).toContain(problem);
    expect(everythingIn(error)).not.toContain(MARK);
  });

  test('S1 in a file that others can read is refused, where it is wanted', async () => {
    await remotes(`Remotes:\n${remote('R', 'lib.example.org', MARK)}`, { mode: 0o644 });
    const error = await errorOf(() => found('library://lib.example.org/a/b/c'));
    expect([error.code, error.hint]).toEqual(['permission-denied', expect.stringMatching(/^chmod 600 /)]);
    expect(await found('library://other.example/a/b/c')).toEqual({});
  });

  test.each(['', 'Remotes:\n', 'Remotes: 7\n', 'Remotes:\n  R: x\n  S:\n    URI: 7\n'])(
    'is none in a file that says %j',
    async (text) => {
      await remotes(text);
      expect(await found(DEFAULT)).toEqual({});
    },
  );
});
