import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseUrl } from '../../src/location.ts';
import { at, MARK, setUp, useScratch } from './scratch.ts';

const scratch = useScratch();

async function withConf(text: string, variable = 'PEGASUS_CREDENTIALS') {
  return setUp(scratch, { [variable]: await scratch.write('credentials.conf', text) });
}

describe('sections', () => {
  test('the example file says what each of its hosts is shown', async () => {
    const { credentials } = setUp(scratch, {
      PEGASUS_CREDENTIALS: await scratch.copy('good/credentials.conf', 'c'),
    });
    const basic = { username: 'astro-joe', password: '100% sure = yes' };
    expect(await credentials.secretsFor(...at('https://data.example.org/f'))).toEqual(basic);
    expect(await credentials.secretsFor(...at('http://data.example.org/f'))).toEqual(basic);
    expect(await credentials.secretsFor(...at('https://API.example.org:8443/f'))).toEqual({
      headers: { 'private-token': 't0ken-of-the-api', 'x-team': 'astro' },
    });
    expect(await credentials.secretsFor(...at('https://old.example.org/f'))).toEqual({
      headers: { authorization: 'Basic Zm9vOmJhcg==' },
      verifyTls: false,
    });
    expect(await credentials.secretsFor(...at('https://[2001:db8::1]/f'))).toEqual({
      headers: { 'x-key': 'six' },
    });
    expect(await credentials.secretsFor(...at('https://amazon/f'))).toEqual({});
  });

  test('the section with the scheme goes before the one without, and they are not mixed', async () => {
    const { credentials } = await withConf(
      '[h]\nusername = plain\nheader.a = 1\n[https://h]\nusername = tls\n[http://h]\nheader.b = 2\n',
    );
    expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({ username: 'tls' });
    expect(await credentials.secretsFor(...at('http://h/f'))).toEqual({ headers: { b: '2' } });
  });

  test('letter case of a section does not matter, unless two differ in nothing else', async () => {
    const { credentials } = await withConf(
      '[HTTPS://A]\nusername = a\n[B]\nusername = B\n[b]\nusername = b\n',
    );
    expect(await credentials.secretsFor(...at('https://a/f'))).toEqual({ username: 'a' });
    expect(await credentials.secretsFor(...at('https://B/f'))).toEqual({ username: 'b' });
  });

  test('the default port may be written or left out, in the URL and in the section', async () => {
    const { credentials } = await withConf(
      '[https://a]\nusername = a\n[b:443]\nusername = b\n[http://c:80]\nusername = c',
    );
    expect(await credentials.secretsFor(...at('https://a:443/f'))).toEqual({ username: 'a' });
    expect(await credentials.secretsFor(...at('https://b/f'))).toEqual({ username: 'b' });
    expect(await credentials.secretsFor(...at('http://b/f'))).toEqual({});
    expect(await credentials.secretsFor(...at('http://c/f'))).toEqual({ username: 'c' });
  });

  test('S5 no other host, port or scheme is shown a secret', async () => {
    const { credentials } = await withConf(
      `[DEFAULT]\nheader.x = ${MARK}\n[https://data.example.org]\nusername = ${MARK}\n[b.org:8443]\nusername = ${MARK}\n`,
    );
    const others = [
      'https://xdata.example.org',
      'https://x.data.example.org',
      'https://data.example.org.evil.org',
      'https://data.example.orgx',
      'https://data.example.or',
      'https://ata.example.org',
      'https://data.example.org.',
      'https://data.example.org:8443',
      'https://data.example.org:80',
      'http://data.example.org',
      'http://data.example.org:443',
      'https://data-example.org',
      'https://b.org',
      'https://b.org:843',
      'https://b.org:18443',
      'https://default',
      'https://x:y@evil.org',
      'https://data.example.org@evil.org',
    ];
    for (const origin of others) {
      const secrets = await credentials.secretsFor(...at(`${origin}/data.example.org`));
      expect(JSON.stringify(secrets), origin).not.toContain(MARK);
    }
  });

  test('S5 a host drawn at random is shown no secret of another', async () => {
    const { credentials } = await withConf(`[h.org]\nusername = ${MARK}\n`);
    const host = fc.stringMatching(/^[h.org:443/@]{1,12}$/);
    await fc.assert(
      fc.asyncProperty(host, fc.constantFrom('http', 'https'), async (text, scheme) => {
        let parsed: ReturnType<typeof parseUrl>;
        try {
          parsed = parseUrl(`${scheme}://${text}`);
        } catch {
          return;
        }
        const { authority } = parsed.location;
        const isIt = authority === 'h.org' || authority === `h.org:${scheme === 'https' ? 443 : 80}`;
        const secrets = await credentials.secretsFor(parsed.location, parsed.secret);
        if (!isIt) expect(JSON.stringify(secrets)).not.toContain(MARK);
      }),
      { numRuns: 1000 },
    );
  });

  test('a local file is shown nothing, and no credentials file is read for it', async () => {
    const { credentials } = setUp(scratch, { PEGASUS_CREDENTIALS: '/none' });
    expect(await credentials.secretsFor(...at('file:///f'))).toEqual({});
  });

  test('verify takes every spelling of a boolean', async () => {
    for (const [spelling, expected] of [
      ['false', { verifyTls: false }],
      ['OFF', { verifyTls: false }],
      ['0', { verifyTls: false }],
      ['no', { verifyTls: false }],
      ['yes', {}],
      ['True', {}],
    ] as const) {
      const { credentials } = await withConf(`[h]\nverify = ${spelling}\n`);
      expect(await credentials.secretsFor(...at('https://h/f'))).toEqual(expected);
    }
  });

  test('S11 a certificate that is not verified is said once, with the section that says so', async () => {
    const { credentials, warnings } = await withConf('[h]\nverify = no\n');
    await credentials.secretsFor(...at('https://h/f'));
    await credentials.secretsFor(...at('https://h/g'));
    expect(warnings).toEqual([
      '`https://h`: the certificate is not verified, as section [h] of PEGASUS_CREDENTIALS says',
    ]);
  });

  test('credentials that travel unencrypted are said once, those to this machine not', async () => {
    const { credentials, warnings } = await withConf('[h]\nusername = joe\n[127.0.0.1]\nusername = joe\n');
    await credentials.secretsFor(...at('http://h/f'));
    await credentials.secretsFor(...at('http://h/f'));
    await credentials.secretsFor(...at('https://h/f'));
    await credentials.secretsFor(...at('http://127.0.0.1/f'));
    expect(warnings).toEqual([
      '`http://h`: credentials travel unencrypted (section [h] of PEGASUS_CREDENTIALS)',
    ]);
  });

  test('a header named like a property of every object is a header', async () => {
    const { credentials } = await withConf('[h]\nheader.__proto__ = a\nheader.constructor = b\n');
    const { headers } = await credentials.secretsFor(...at('https://h/f'));
    expect(Object.entries(headers ?? {})).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });
});

describe('sites', () => {
  test('the file of the site goes before the plain one, and they are not mixed', async () => {
    const { credentials } = setUp(scratch, {
      PEGASUS_CREDENTIALS: await scratch.write('plain', '[h]\nusername = plain\n[g]\nusername = g\n'),
      PEGASUS_CREDENTIALS_site_a: await scratch.write('a', '[h]\nusername = a\n'),
      PEGASUS_CREDENTIALS_empty: '',
    });
    expect(await credentials.secretsFor(...at('https://h/f', 'site-a'))).toEqual({ username: 'a' });
    expect(await credentials.secretsFor(...at('https://g/f', 'site-a'))).toEqual({});
    expect(await credentials.secretsFor(...at('https://h/f', 'other'))).toEqual({ username: 'plain' });
    expect(await credentials.secretsFor(...at('https://h/f', 'empty'))).toEqual({ username: 'plain' });
    expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({ username: 'plain' });
  });
});

describe('what goes before what', () => {
  const conf = '[h]\nusername = joe\npassword = of-joe\nheader.X = x\n[i]\npassword = lone\n';

  test('a login in the URL goes before the section, whose headers stay', async () => {
    const { credentials } = await withConf(conf);
    expect(await credentials.secretsFor(...at('https://ann:pw@h/f'))).toEqual({
      username: 'ann',
      password: 'pw',
      headers: { x: 'x' },
    });
  });

  test('a user name alone in the URL takes the password that is for it, and no other', async () => {
    await scratch.write('.netrc', 'machine n login joe password j machine n login ann password a');
    const { credentials } = await withConf(conf);
    const login = async (url: string) => {
      const { username, password } = await credentials.secretsFor(...at(url));
      return `${username} ${password}`;
    };
    expect(await login('https://joe@h/f')).toBe('joe of-joe');
    expect(await login('https://ann@h/f')).toBe('ann undefined');
    expect(await login('https://ann@i/f')).toBe('ann lone');
    expect(await login('https://ann@n/f')).toBe('ann a');
    expect(await login('https://eve@n/f')).toBe('eve undefined');
  });

  test('a request is authorized in one way only', async () => {
    const both = '[h]\nusername = joe\nheader.Authorization = A\nheader.X = x\n';
    const { credentials } = await withConf(both);
    expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({
      headers: { authorization: 'A', x: 'x' },
    });
    expect(await credentials.secretsFor(...at('https://ann:pw@h/f'))).toEqual({
      username: 'ann',
      password: 'pw',
      headers: { x: 'x' },
    });
  });

  test('a signed URL takes nothing from netrc or the environment, another query does', async () => {
    await scratch.write('.netrc', 'default login joe password pw');
    const { credentials } = setUp(scratch, { BEARER_TOKEN: 'token' });
    const signed = 'X-Amz-Credential=a&X-Amz-Signature=b';
    expect(await credentials.secretsFor(...at(`https://h/f?${signed}`))).toEqual({ query: signed });
    expect(await credentials.secretsFor(...at('https://h/f?key=a'))).toEqual({
      query: 'key=a',
      bearer: 'token',
    });
  });

  test('netrc goes before a token, a token before the default entry of netrc', async () => {
    await scratch.write('.netrc', 'machine n login joe password pw default login all password x');
    const { credentials } = setUp(scratch, { BEARER_TOKEN: 'token' });
    expect(await credentials.secretsFor(...at('https://n:8443/f'))).toEqual({
      username: 'joe',
      password: 'pw',
    });
    expect(await credentials.secretsFor(...at('https://h/f'))).toEqual({ bearer: 'token' });
    expect(await credentials.secretsFor(...at('http://h/f'))).toEqual({ username: 'all', password: 'x' });
  });

  test('netrc is for the machine it names, to the letter', async () => {
    await scratch.write('.netrc', `machine data.org login joe password ${MARK}`);
    const { credentials } = setUp(scratch, {});
    for (const host of ['xdata.org', 'x.data.org', 'data.org.evil', 'data.or', 'data.org.']) {
      expect(await credentials.secretsFor(...at(`https://${host}/f`)), host).toEqual({});
    }
  });

  test('each source is described by name', async () => {
    await scratch.write('.netrc', 'machine n login joe password pw');
    const { credentials } = setUp(scratch, {
      PEGASUS_CREDENTIALS_site_a: await scratch.write('a', conf),
      BEARER_TOKEN_FILE: await scratch.write('token', 'token\n'),
    });
    const source = (url: string) => credentials.describeSource(...at(url, 'site-a'));
    expect(await source('https://h/f')).toBe('section [h] of PEGASUS_CREDENTIALS_site_a');
    expect(await source('https://ann:pw@h/f?sig=a')).toBe(
      'user name in the URL and query of the URL and section [h] of PEGASUS_CREDENTIALS_site_a',
    );
    expect(await source('https://n/f')).toBe('netrc');
    expect(await source('https://m/f')).toBe('bearer token from BEARER_TOKEN_FILE');
    expect(await source('http://m/f')).toBe('none');
    expect(await source('/f')).toBe('none');
  });
});

describe('again', () => {
  test('after a 401 every file is read anew at once', async () => {
    const env = { PEGASUS_CREDENTIALS: await scratch.write('c', '[h]\nusername = old') };
    await scratch.write('.netrc', 'machine n password old');
    const { credentials } = setUp(scratch, env);
    await credentials.secretsFor(...at('https://h/f'));
    await credentials.secretsFor(...at('https://n/f'));
    await scratch.write('c', '[h]\nusername = new');
    await scratch.write('.netrc', 'machine n password new');
    const [h, n] = [at('https://h/f')[0], at('https://n/f')[0]];
    expect(await credentials.secretsFor(h)).toEqual({ username: 'old' });
    expect(await credentials.secretsFor(h, undefined, true)).toEqual({ username: 'new' });
    expect(await credentials.secretsFor(h)).toEqual({ username: 'new' });
    expect(await credentials.secretsFor(n, undefined, true)).toEqual({ username: '', password: 'new' });
  });
});
