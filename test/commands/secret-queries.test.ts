import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readReceipts } from '../../src/integrity/receipts.ts';
import { urlText, withoutMark } from '../../src/report/url-text.ts';
import { bridle, entry, scratch } from './run-command.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** By path and query: a service where the key in the query names the file. */
const files = new Map<string, Buffer>();
let server: Server;
let origin = '';

beforeEach(async () => {
  files.clear();
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const name = request.url ?? '';
    if (request.method === 'PUT') files.set(name, Buffer.concat(chunks));
    const found = files.get(name);
    const body = request.method === 'PUT' ? undefined : found;
    response.writeHead(found ? 200 : 404, { 'content-length': body?.length ?? 0 });
    response.end(request.method === 'GET' ? body : undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

/** Sends `a`, `b` and, to b's place, `b` once more, each to a URL that differs in its key alone. */
async function send(...more: readonly string[]) {
  const cwd = scratch();
  const list = [];
  for (const [name, key] of [
    ['a', 'marked-1'],
    ['b', 'marked-2'],
    ['b', 'marked-3'],
  ]) {
    writeFileSync(join(cwd, `${name}`), `${name}`);
    list.push(entry(`file://${cwd}/${name}`, `${origin}/dl?key=${key}`));
  }
  writeFileSync(join(cwd, 'list.json'), JSON.stringify(list));
  const ended = await bridle(['transfer', '-q', '-n', '1', '-f', 'list.json', ...more], { cwd });
  return { cwd, ...ended };
}

test('P10 receipts of URLs that differ in a secret alone are each one’s own, and say that their query is not there', async () => {
  const { cwd, status, stderr } = await send('--receipts', 'done.jsonl');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const text = readFileSync(join(cwd, 'done.jsonl'), 'utf8');
  expect(text).not.toContain('marked');
  const destinations = [...readReceipts(Buffer.from(text))].map(({ receipt }) => receipt?.destination);
  expect(destinations).toEqual(Array.from({ length: 3 }, () => `${origin}/dl?***`));
  const verify = () => bridle(['verify', '--receipts', 'done.jsonl'], { cwd });
  const why =
    'a query that grants access is not written down (`bridle verify ALG:HEX URL` takes the whole URL)';
  const none = await verify();
  expect(none).toMatchObject({ status: 1, stderr: '0 proven, 2 not verified\n' });
  expect(none.stdout.split('\n').slice(0, 2)).toEqual(
    Array.from({ length: 2 }, () => expect.stringContaining(`${origin}/dl?***: NOT VERIFIED, ${why}`)),
  );
  // Without the query something else may lie there: that is no sign of damage, and what is equal is equal.
  files.set('/dl', Buffer.from('a'));
  const one = await verify();
  expect(one).toMatchObject({ status: 1, stderr: '1 proven, 1 not verified\n' });
  expect(one.stdout).toContain(`without it: expected sha256 ${sha256('b')}, it has ${sha256('a')}`);
});

test('P10 a list of digests has one of the URLs that differ in a secret alone, and what it has no place for is told', async () => {
  const { cwd, status, stderr } = await send('--write-checksums', 'SHA256SUMS');
  expect(status).toBe(0);
  expect(readFileSync(join(cwd, 'SHA256SUMS'), 'utf8')).toBe(`${sha256('a')}  ${origin}/dl\n`);
  expect(stderr).toBe(
    `warning: \`SHA256SUMS\`: no digest of \`${origin}/dl?***\`: another file has the same URL but for the query, which is not written down\n`,
  );
  files.set('/dl', Buffer.from('a'));
  expect(await bridle(['verify', 'SHA256SUMS'], { cwd })).toMatchObject({ status: 0, stderr: '1 proven\n' });
});

test('a list of digests has what is the same in several of them once, and is silent', async () => {
  const cwd = scratch();
  writeFileSync(join(cwd, 'b'), 'b');
  const list = ['marked-1', 'marked-2'].map((key) => entry(`file://${cwd}/b`, `${origin}/dl?key=${key}`));
  writeFileSync(join(cwd, 'list.json'), JSON.stringify(list));
  const args = ['transfer', '-q', '-f', 'list.json', '--write-checksums', 'SHA256SUMS'];
  expect(await bridle(args, { cwd })).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(readFileSync(join(cwd, 'SHA256SUMS'), 'utf8')).toBe(`${sha256('b')}  ${origin}/dl\n`);
});

test.each([
  ['s3', 's3://j%20e@site/b/a?b'],
  ['s3s', 's3s://j%20e@site/b/a?b'],
  ['sftp', 'sftp://j%20e@site/b/a?b'],
  ['scp', 'scp://j%20e@site/b/a?b'],
  ['https', 'https://site/b/a?b'],
  ['ftp', 'ftp://site/b/a?b'],
])(
  'P10 the user name of a URL of %s is written down where it is no secret but an account',
  (scheme, text) => {
    const location = { scheme, authority: 'site', path: '/b/a?b', site: '' };
    expect(urlText(location, { username: 'j e' })).toBe(text);
    expect(withoutMark(text)).toBeUndefined();
    expect(withoutMark(urlText(location, { hasSecretQuery: true }))).toBe(urlText(location));
  },
);
