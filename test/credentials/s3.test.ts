import { mkdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Secrets } from '../../src/protocol.ts';
import { at, errorOf, MARK, setUp, useScratch } from './scratch.ts';

const scratch = useScratch();

const CONF = `
[osn]
endpoint = https://osn.example
region = here
batch_delete_size = 500
[joe@osn]
access_key = JOE
secret_key = joe-${MARK}
[ann@osn]
access_key = ANN
secret_key = ann-${MARK}
[guest@osn]
anonymous = true
[half@osn]
access_key = HALF
[s3://public]
endpoint = http://public.example:8080
anonymous = yes
path_style = no
request_payer = true
[old:9000]
endpoint = http://old.example
batch_delete = False
verify = no
`;

async function withConf(text = CONF, env: Record<string, string> = {}) {
  return setUp(scratch, { PEGASUS_CREDENTIALS: await scratch.write('c.conf', text), ...env }).credentials;
}

const s3 = async (secrets: Promise<Secrets>) => (await secrets).s3;

describe('s3://user@site/bucket/key', () => {
  test('takes endpoint and keys from the sections of site and user', async () => {
    const credentials = await withConf();
    expect(await credentials.secretsFor(...at('s3://joe@OSN/bucket/key'))).toEqual({
      s3: {
        isSite: true,
        endpoint: 'https://osn.example',
        region: 'here',
        deleteBatch: 500,
        accessKeyId: 'JOE',
        secretAccessKey: `joe-${MARK}`,
        source: 'section [joe@osn] of PEGASUS_CREDENTIALS',
      },
    });
  });

  test('two identities of one site are each shown their own keys', async () => {
    const credentials = await withConf();
    const [joe, ann] = await Promise.all([
      s3(credentials.secretsFor(...at('s3://joe@osn/b/k'))),
      s3(credentials.secretsFor(...at('s3s://ann@osn/b/k'))),
    ]);
    expect([joe?.accessKeyId, ann?.accessKeyId]).toEqual(['JOE', 'ANN']);
  });

  test('the file of the site label goes before the general one', async () => {
    const special = await scratch.write('special.conf', CONF.replace('JOE', 'SPECIAL'));
    const credentials = await withConf(CONF, { PEGASUS_CREDENTIALS_my_site: special });
    const of = (site: string) => s3(credentials.secretsFor(...at('s3://joe@osn/b/k', site)));
    expect((await of('my-site'))?.accessKeyId).toBe('SPECIAL');
    expect((await of('other'))?.accessKeyId).toBe('JOE');
  });

  test('without a variable, the file of the home directory is read, S3CFG before it', async () => {
    await mkdir(scratch.path('.pegasus'));
    await scratch.write('.pegasus/credentials.conf', CONF.replace('JOE', 'HOME'));
    const home = setUp(scratch, {}).credentials;
    expect((await s3(home.secretsFor(...at('s3://joe@osn/b/k'))))?.accessKeyId).toBe('HOME');
    const other = setUp(scratch, { S3CFG: await scratch.write('s3cfg', CONF) }).credentials;
    expect((await s3(other.secretsFor(...at('s3://joe@osn/b/k'))))?.accessKeyId).toBe('JOE');
  });

  test('a site with options of its own has them', async () => {
    const text = `${CONF}[u@old:9000]\naccess_key = U\nsecret_key = V\n`;
    const secrets = await (await withConf(text)).secretsFor(...at('s3://u@old:9000/b/k'));
    expect(secrets).toMatchObject({
      verifyTls: false,
      s3: { endpoint: 'http://old.example', deleteBatch: 1 },
    });
  });

  test('an anonymous user and a site without user are asked unsigned', async () => {
    const credentials = await withConf();
    for (const url of ['s3://guest@osn/b/k', 's3://osn/b/k']) {
      const access = await s3(credentials.secretsFor(...at(url)));
      expect(access).toMatchObject({ isSite: true, endpoint: 'https://osn.example' });
      expect(access).not.toHaveProperty('accessKeyId');
    }
  });

  test.each([
    ['s3://joe@nowhere/b/k', 'invalid-request', /no `endpoint` in a section \[nowhere\]/],
    ['s3://jim@osn/b/k', 'unauthenticated', /section \[jim@osn\]/],
    ['s3://half@osn/b/k', 'unauthenticated', /section \[half@osn\]/],
    [`s3://joe:${MARK}@osn/b/k`, 'invalid-request', /no secret key in it/],
  ])('%s is refused', async (url, code, message) => {
    const credentials = await withConf();
    const error = await errorOf(() => credentials.secretsFor(...at(url)));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('a file that others can read, or that is not there, is refused', async () => {
    const open = await scratch.write('open.conf', CONF, 0o644);
    const exposed = setUp(scratch, { PEGASUS_CREDENTIALS: open }).credentials;
    expect(await errorOf(() => exposed.secretsFor(...at('s3://joe@osn/b/k')))).toMatchObject({
      code: 'permission-denied',
    });
    const missing = setUp(scratch, { S3CFG: scratch.path('none') }).credentials;
    expect(await errorOf(() => missing.secretsFor(...at('s3://joe@osn/b/k')))).toMatchObject({
      code: 'invalid-request',
    });
    const none = setUp(scratch, {}).credentials;
    expect(await errorOf(() => none.secretsFor(...at('s3://joe@osn/b/k')))).toMatchObject({
      code: 'invalid-request',
    });
  });
});

describe('s3://bucket/key', () => {
  const KEYS = {
    AWS_ACCESS_KEY_ID: 'ENV',
    AWS_SECRET_ACCESS_KEY: MARK,
    AWS_SESSION_TOKEN: `token-${MARK}`,
    AWS_REGION: 'eu-north-1',
  };

  test('takes everything from the environment where that says it', async () => {
    const { credentials } = setUp(scratch, {
      ...KEYS,
      AWS_ENDPOINT_URL: 'http://all',
      AWS_ENDPOINT_URL_S3: 'http://s3',
    });
    expect(await credentials.secretsFor(...at('s3://bucket/key'))).toEqual({
      s3: {
        isSite: false,
        accessKeyId: 'ENV',
        secretAccessKey: MARK,
        sessionToken: `token-${MARK}`,
        region: 'eu-north-1',
        endpoint: 'http://s3',
        source: 'AWS_ACCESS_KEY_ID',
      },
    });
  });

  test('takes keys, region, endpoint and style from the profile', async () => {
    await mkdir(scratch.path('.aws'));
    await scratch.write('.aws/credentials', '[work]\naws_access_key_id = W\naws_secret_access_key = S\n');
    await scratch.write(
      '.aws/config',
      '[profile work]\nregion = eu-west-1\nservices = lab\ns3 =\n  addressing_style = path\n[services lab]\ns3 =\n  endpoint_url = http://lab:1\n',
    );
    const { credentials } = setUp(scratch, { AWS_PROFILE: 'work' });
    expect(await s3(credentials.secretsFor(...at('s3://bucket/key')))).toMatchObject({
      accessKeyId: 'W',
      secretAccessKey: 'S',
      region: 'eu-west-1',
      endpoint: 'http://lab:1',
      pathStyle: true,
    });
  });

  test('takes keys from a program that the profile names', async () => {
    await mkdir(scratch.path('.aws'));
    const said = JSON.stringify({ Version: 1, AccessKeyId: 'P', SecretAccessKey: 'Q', SessionToken: 'R' });
    await scratch.write('keys.json', said);
    await scratch.write('.aws/config', `[default]\ncredential_process = cat ${scratch.path('keys.json')}\n`);
    const { credentials } = setUp(scratch, {});
    const access = await s3(credentials.secretsFor(...at('s3://bucket/key')));
    expect(access).toMatchObject({ accessKeyId: 'P', secretAccessKey: 'Q', sessionToken: 'R' });
  });

  test('AWS_NO_SIGN_REQUEST asks unsigned, AWS_REQUEST_PAYER pays', async () => {
    const { credentials } = setUp(scratch, {
      ...KEYS,
      AWS_NO_SIGN_REQUEST: 'YES',
      AWS_REQUEST_PAYER: 'requester',
    });
    const access = await s3(credentials.secretsFor(...at('s3://bucket/key')));
    expect(access).toEqual({
      isSite: false,
      region: 'eu-north-1',
      requestPayer: true,
      source: 'AWS_NO_SIGN_REQUEST is set',
    });
  });

  test('a section of the bucket says how that bucket is asked, and no other', async () => {
    const credentials = await withConf(CONF, KEYS);
    expect(await s3(credentials.secretsFor(...at('s3://public/key')))).toMatchObject({
      isSite: false,
      endpoint: 'http://public.example:8080',
      pathStyle: false,
      requestPayer: true,
    });
    expect(await s3(credentials.secretsFor(...at('s3://public/key')))).not.toHaveProperty('accessKeyId');
    const other = await s3(credentials.secretsFor(...at('s3://private/key')));
    expect(other).toMatchObject({ accessKeyId: 'ENV' });
    expect(other).not.toHaveProperty('endpoint');
  });

  test('says where the keys come from, and never the keys', async () => {
    const credentials = await withConf(CONF, KEYS);
    expect(await credentials.describeSource(...at('s3://bucket/key'))).toBe('AWS_ACCESS_KEY_ID');
    const joe = await credentials.describeSource(...at('s3://joe@osn/b/k'));
    expect(joe).toBe('section [joe@osn] of PEGASUS_CREDENTIALS');
  });
});
