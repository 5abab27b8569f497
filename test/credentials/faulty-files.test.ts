import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { at, errorOf, everythingIn, FIXTURES, MARK, setUp, useScratch } from './scratch.ts';

const scratch = useScratch();

async function withConf(text: string, variable = 'PEGASUS_CREDENTIALS') {
  return setUp(scratch, { [variable]: await scratch.write('credentials.conf', text) });
}

describe('files that are wrong', () => {
  test('B5 a missing credentials file is an error that names variable and path', async () => {
    const { credentials } = setUp(scratch, { PEGASUS_CREDENTIALS: scratch.path('none') });
    const error = await errorOf(() => credentials.secretsFor(...at('https://h/f')));
    expect(error.code).toBe('invalid-request');
    expect(error.message).toBe(`reading \`${scratch.path('none')}\` (PEGASUS_CREDENTIALS): no such file`);
    expect(error.hint).toContain('unset PEGASUS_CREDENTIALS');
  });

  test('B5 S12 a credentials file open to others is refused, also when it becomes so later', async () => {
    const path = await scratch.write('c', `[h]\npassword = ${MARK}\n`, 0o644);
    const { credentials, clock } = setUp(scratch, { PEGASUS_CREDENTIALS_s: path });
    const error = await errorOf(() => credentials.secretsFor(...at('https://other/f', 's')));
    expect(error.code).toBe('permission-denied');
    expect(error.message).toContain('(PEGASUS_CREDENTIALS_s)');
    expect(error.hint).toBe(`chmod 600 ${path}`);
    clock.time += 1000;
    await scratch.write('c', '[h]\nusername = joe', 0o600);
    expect(await credentials.secretsFor(...at('https://h/f', 's'))).toEqual({ username: 'joe' });
    clock.time += 1000;
    await scratch.write('c', '[h]\nusername = joe', 0o640);
    expect((await errorOf(() => credentials.secretsFor(...at('https://h/f', 's')))).code).toBe(
      'permission-denied',
    );
  });

  test('S12 a credentials file of another user is refused', async () => {
    const path = await scratch.write('c', '[h]\nusername = joe');
    const owner = await scratch.disown(path);
    const { credentials } = setUp(scratch, { PEGASUS_CREDENTIALS: path }, owner + 1);
    expect((await errorOf(() => credentials.secretsFor(...at('https://h/f')))).code).toBe(
      'permission-denied',
    );
  });

  const messages = JSON.parse(readFileSync(join(FIXTURES, 'bad/messages.json'), 'utf8')) as Record<
    string,
    string
  >;

  test.each(Object.entries(messages))('B5 S5 %s is refused with its message', async (name, message) => {
    const variable = name.endsWith('.netrc') ? 'NETRC' : 'PEGASUS_CREDENTIALS';
    const path = await scratch.copy(`bad/${name}`, 'f');
    const { credentials } = setUp(scratch, { [variable]: path });
    const error = await errorOf(() => credentials.secretsFor(...at('https://data.example.org/f')));
    expect(error.code).toBe('invalid-request');
    expect(error.message).toBe(`reading \`${path}\` (${variable}): ${message}`);
    expect(everythingIn(error)).not.toContain(MARK);
  });

  test('a faulty section does no harm to other hosts', async () => {
    const { credentials } = await withConf('[bad]\npassword = %\n[h]\nusername = joe\n');
    expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({ username: 'joe' });
  });

  test('B5 a NETRC that is missing is an error, a missing ~/.netrc is none', async () => {
    expect(await setUp(scratch, {}).credentials.secretsFor(...at('https://h/f'))).toEqual({});
    const { credentials } = setUp(scratch, { NETRC: scratch.path('none') });
    const error = await errorOf(() => credentials.secretsFor(...at('https://h/f')));
    expect(error.message).toBe(`reading \`${scratch.path('none')}\` (NETRC): no such file`);
  });

  test('a ~/.netrc that cannot be read is passed over with a warning', async () => {
    await scratch.copy('bad/spaces.netrc', '.netrc');
    const { credentials, warnings } = setUp(scratch, {});
    expect(await credentials.secretsFor(...at('https://data.example.org/f'))).toEqual({});
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('going on without it');
    expect(warnings[0]).not.toContain(MARK);
  });

  test('S12 a ~/.netrc open to others is refused for the hosts it names only', async () => {
    const path = await scratch.write('.netrc', 'machine h login joe password pw', 0o644);
    const { credentials } = setUp(scratch, {});
    expect(await credentials.secretsFor(...at('https://other/f'))).toEqual({});
    const error = await errorOf(() => credentials.secretsFor(...at('https://h/f')));
    expect(error.code).toBe('permission-denied');
    expect(error.hint).toBe(`chmod 600 ${path}`);
  });

  test('a user name that Basic authentication cannot carry is refused, whatever it comes from', async () => {
    await scratch.write('.netrc', 'machine n login a:b password pw');
    const { credentials } = await withConf('[h]\nusername = a:b\n');
    for (const url of ['https://n/f', 'https://h/f', 'https://a%3Ab:pw@g/f', 'https://a%0Ab@g/f']) {
      const error = await errorOf(() => credentials.secretsFor(...at(url)));
      expect(error.message, url).toContain('expected a user name without');
    }
  });
});
