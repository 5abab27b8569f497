import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Hash } from '@smithy/hash-node';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OTHER_S3_USER, type RunningCephRgw, S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { encodeKey } from '../../src/s3/address.ts';
import { bridle, scratch } from '../commands/run-command.ts';

const CA = new URL('../../fixtures/tls/ca.pem', import.meta.url).pathname;
const MIB = 1024 * 1024;

let ceph: RunningCephRgw;
beforeAll(async () => {
  ceph = await startServer('ceph-rgw');
  const { status, stderr } = await bridle(['mkdir', 's3://presigned/'], { cwd: scratch(), env: env() });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
}, 150_000);
afterAll(() => ceph?.stop());

/** Whoever signs; who transfers has none of this. */
const env = () => ({
  AWS_ACCESS_KEY_ID: S3_USER.accessKeyId,
  AWS_SECRET_ACCESS_KEY: S3_USER.secretAccessKey,
  AWS_REGION: 'us-east-1',
  AWS_ENDPOINT_URL: ceph.http,
});

/** As AWS's own client signs it, for an hour or for `age` seconds ago. */
async function presigned(
  method: 'GET' | 'PUT',
  key: string,
  options: { readonly by?: typeof S3_USER; readonly age?: number; readonly tls?: boolean } = {},
) {
  const { by = S3_USER, age = 0, tls = false } = options;
  const { protocol, hostname, port, host, origin } = new URL(tls ? ceph.https : ceph.http);
  const signer = new SignatureV4({
    service: 's3',
    region: 'us-east-1',
    credentials: by,
    sha256: Hash.bind(null, 'sha256'),
    uriEscapePath: false,
    applyChecksum: false,
  });
  const path = `/presigned/${encodeKey(key)}`;
  const { query } = await signer.presign(
    {
      method,
      protocol,
      hostname,
      port: Number(port),
      path,
      query: {},
      headers: { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    },
    {
      expiresIn: 3600,
      signingDate: new Date(Date.now() - age * 1000),
      unsignableHeaders: new Set(['x-amz-content-sha256']),
    },
  );
  return `${origin}${path}?${new URLSearchParams(query as Record<string, string>)}`;
}

test.each([
  ['http', false, 5],
  ['https', true, 5],
  ['http', false, 40 * MIB],
])(
  'P10 a presigned URL of %s takes and gives a file, without credentials, and is shown to nobody',
  async (_scheme, tls, size) => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'up'), randomBytes(size));
    const told = [
      '--ca',
      CA,
      '--debug',
      '--report',
      'report.json',
      '--receipts',
      'done.jsonl',
      '--write-checksums',
      'SUMS',
    ];
    const [put, get] = [await presigned('PUT', 'a b+c', { tls }), await presigned('GET', 'a b+c', { tls })];
    const up = await bridle(['cp', ...told, 'up', put], { cwd });
    expect(up).toMatchObject({ status: 0 });
    const down = await bridle(['cp', ...told, get, 'down'], { cwd });
    expect(down).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'down')).equals(readFileSync(join(cwd, 'up')))).toBe(true);
    const shown = [up, down].map(({ stdout, stderr }) => stdout + stderr).join('');
    const kept = ['report.json', 'done.jsonl', 'SUMS'].map((name) => readFileSync(join(cwd, name), 'utf8'));
    expect(shown + kept.join('')).not.toMatch(/Signature=|Credential=/i);
  },
);

test.each<[string, Parameters<typeof presigned>[2], RegExp]>([
  ['that has expired', { age: 7200 }, /HTTP 403/],
  ['of somebody who may not read there', { by: OTHER_S3_USER }, /HTTP 403/],
])('P6 a presigned URL %s is refused at once, and nothing is left', async (_what, options, message) => {
  const cwd = scratch();
  mkdirSync(join(cwd, 'to'));
  const ended = await bridle(
    ['cp', '--report', 'report.json', await presigned('GET', 'none', options), 'to/'],
    { cwd },
  );
  expect(ended).toMatchObject({ status: 1, stderr: expect.stringMatching(message) });
  const { outcomes } = JSON.parse(readFileSync(join(cwd, 'report.json'), 'utf8'));
  expect(outcomes).toMatchObject([{ status: 'failed', failure: { transient: false } }]);
  expect(outcomes[0].attempts).toHaveLength(1);
});
