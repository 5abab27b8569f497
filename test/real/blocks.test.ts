import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

import { bridle, scratch } from '../commands/run-command.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const MIB = 1024 * 1024;
const GOOD = randomBytes(17 * MIB + 1);
const BAD = Buffer.from(GOOD);
BAD[9 * MIB] = (GOOD[9 * MIB] ?? 0) ^ 1;

let place: MatrixPlace | undefined;
afterEach(async () => {
  await place?.stop();
  place = undefined;
});

test.each(['http', 'https', 'dav', 's3', 'sftp', 'ftp', 'ftps', 'gs'])(
  'a byte that flips after a copy from %s is found and mended with two blocks at most',
  async (name) => {
    place = await PLACES[name]!();
    await place.put('big', GOOD);
    const call = { cwd: scratch(), env: { SSL_CERT_FILE: CA, ...place.env } };
    const copied = await bridle(['cp', '-q', '--blocks', 'blocks', place.url('big'), 'big'], call);
    expect(copied).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(join(call.cwd, 'big'), BAD);
    expect(await bridle(['verify', 'blocks'], call)).toMatchObject({
      status: 1,
      stderr: '0 proven, 1 wrong\n',
    });
    const mended = await bridle(['repair', '--json', '--blocks', 'blocks', place.url('big'), 'big'], call);
    expect(JSON.parse(mended.stdout)).toMatchObject({
      isRepaired: true,
      damaged: [{ index: 1, differs: { first: 9 * MIB, last: 9 * MIB, bytes: 1 } }],
      fetched: 8 * MIB,
    });
    expect(readFileSync(join(call.cwd, 'big')).equals(GOOD)).toBe(true);
  },
);

test.each(['dav', 's3', 'sftp', 'ftp', 'ftps', 'gs'])(
  'damage of what was copied to %s is told by its blocks alone',
  async (name) => {
    place = await PLACES[name]!();
    const call = { cwd: scratch(), env: { SSL_CERT_FILE: CA, ...place.env } };
    writeFileSync(join(call.cwd, 'big'), GOOD);
    const copied = await bridle(['cp', '-q', '--blocks', 'blocks', 'big', place.url('big')], call);
    expect(copied).toMatchObject({ status: 0, stderr: '' });
    const look = ['repair', '--dry-run', '--blocks', 'blocks', 'gone', place.url('big')];
    expect(await bridle(look, call)).toMatchObject({ status: 0 });
    await place.put('big', BAD);
    expect(await bridle(['verify', 'blocks'], call)).toMatchObject({ status: 1 });
    const told = await bridle(look, call);
    expect(told).toMatchObject({ status: 1 });
    expect(told.stdout).toContain('damaged, 1 of 3 blocks\n  block 1, ');
  },
);

// The places of ftp want a login, which is in their URLs, and receipts hold none.
test.each(['http', 'https', 'dav', 's3', 'sftp', 'gs'])(
  'receipts of what was copied to %s are verified by the digest of the service, else by reading it back',
  async (name) => {
    place = await PLACES[name]!();
    const call = { cwd: scratch(), env: { SSL_CERT_FILE: CA, ...place.env } };
    writeFileSync(join(call.cwd, 'small'), 'small');
    const url = place.url('small');
    const args = ['cp', '-q', '--checksum', 'sha256,md5', '--receipts', 'done.jsonl', 'small', url];
    expect(await bridle(args, call)).toMatchObject({ status: 0, stderr: '' });
    const verify = ['verify', '--receipts', 'done.jsonl', '--json'];
    const good = await bridle(verify, call);
    expect(good).toMatchObject({ status: 0, stderr: '1 proven\n' });
    // None of these tells a sha256 of what it stores, and the strongest digest of the receipt decides.
    expect(JSON.parse(good.stdout)).toMatchObject({ by: 'read', algorithm: 'sha256' });
    await place.put('small', Buffer.from('smell'));
    const bad = await bridle(verify, call);
    expect(bad).toMatchObject({ status: 1, stderr: '0 proven, 1 wrong\n' });
    expect(JSON.parse(bad.stdout)).toMatchObject({ status: 'wrong' });
  },
);

test('receipts of an md5 are verified by what S3 stores, without reading it', async () => {
  place = await PLACES.s3!();
  const call = { cwd: scratch(), env: { SSL_CERT_FILE: CA, ...place.env } };
  writeFileSync(join(call.cwd, 'small'), 'small');
  const args = ['cp', '-q', '--checksum', 'md5', '--receipts', 'done.jsonl', 'small', place.url('small')];
  expect(await bridle(args, call)).toMatchObject({ status: 0, stderr: '' });
  const verify = ['verify', '-v', '--receipts', 'done.jsonl'];
  expect((await bridle(verify, call)).stdout).toMatch(/: OK, md5 as the service stores it\n$/);
  await place.put('small', Buffer.from('smell'));
  const bad = await bridle(verify, call);
  expect(bad.status).toBe(1);
  expect(bad.stdout).toMatch(/: WRONG, expected md5 [0-9a-f]+, the service stores /);
});
