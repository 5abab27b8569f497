import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMoreAuthorities } from '../../src/library/trust.ts';
import { closeAll, serve } from '../http/scripted.ts';
import { bridle } from './run-command.ts';

const ca = readFileSync(new URL('../../fixtures/tls/ca.pem', import.meta.url), 'latin1');
let directory = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bridle-trust-'));
  const grid = join(directory, 'grid');
  mkdirSync(grid);
  // As IGTF lays it out: the certificate, its name by hash, what it revoked, and what it may sign.
  writeFileSync(join(grid, 'Test-CA.pem'), ca);
  symlinkSync('Test-CA.pem', join(grid, '5b1f2a3c.0'));
  symlinkSync('nowhere', join(grid, 'dangling.0'));
  writeFileSync(join(grid, '5b1f2a3c.r0'), ca.replaceAll('CERTIFICATE', 'X509 CRL'));
  writeFileSync(
    join(grid, '5b1f2a3c.signing_policy'),
    "access_id_CA X509 '/O=bridle tests/CN=bridle test CA'",
  );
  writeFileSync(join(directory, 'bundle.crt'), `${ca}\nother text\n${ca}`);
});
afterAll(async () => {
  await closeAll();
  rmSync(directory, { recursive: true, force: true });
});

test('authorities of the grid and of the system are read once each, past what lies beside them', () => {
  const env = { X509_CERT_DIR: `${join(directory, 'grid')}:${join(directory, 'absent')}` };
  expect(readMoreAuthorities(env, [])).toEqual([ca.trim()]);
  expect(readMoreAuthorities(env, [join(directory, 'absent'), join(directory, 'bundle.crt')])).toEqual([
    ca.trim(),
  ]);
  expect(readMoreAuthorities({ X509_CERT_DIR: join(directory, 'absent') }, [])).toEqual([]);
});

test.each([
  ['X509_CERT_DIR', 'grid', 0],
  ['SSL_CERT_DIR', 'grid', 0],
  ['SSL_CERT_FILE', 'bundle.crt', 0],
  ['UNRELATED', 'grid', 1],
])('S11 a server is trusted by %s', async (variable, name, status) => {
  const server = await serve(
    async (visit) => {
      for (;;) {
        await visit.request();
        visit.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      }
    },
    { certificate: 'server' },
  );
  const got = await bridle(['cat', `${server.url}/f`], {
    cwd: directory,
    env: { [variable]: join(directory, name) },
  });
  expect({ status: got.status, stdout: got.stdout }).toEqual({ status, stdout: status === 0 ? 'ok' : '' });
  if (status !== 0) expect(got.stderr).toContain('hint: to trust a CA');
});
