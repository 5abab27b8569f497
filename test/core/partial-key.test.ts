import { afterEach, expect, test } from 'vitest';
import { createEndpoints, type Endpoints } from '../../src/endpoints.ts';
import { parseUrl } from '../../src/location.ts';
import { partialKey } from '../../src/partial-key.ts';

const runs: Endpoints[] = [];
afterEach(async () => {
  for (const run of runs.splice(0)) await run.close();
});

/** Opens the URLs in one run, in their order, and tells the key of a write to the last. */
async function keyIn(
  urls: readonly string[],
): Promise<{ readonly key: string; readonly services: string[] }> {
  const http = { send: () => Promise.reject(new Error('nothing is sent')), close: async () => {} };
  const run = createEndpoints({ http, secretsFor: async () => ({}) });
  runs.push(run);
  const services: string[] = [];
  let key = '';
  for (const url of urls) {
    const place = parseUrl(url, { site: 'test', env: {} });
    const endpoint = await run.open(place);
    services.push(endpoint.service);
    key = partialKey(endpoint, place.location);
  }
  return { key, services };
}

const HOSTS = [
  ['ftp://user:secret@localhost', 'ftp://127.0.0.1/f', 'ftp://other:secret@localhost/f'],
  ['ftps://user:secret@localhost', 'ftp://user:secret@localhost/f', 'ftps://other:secret@localhost/f'],
  ['dav://user:secret@localhost', 'dav://other:x@127.0.0.1/f', 'dav://other:secret@localhost/f'],
  ['sftp://user@localhost', 'sftp://127.0.0.1/f', 'sftp://other@localhost/f'],
] as const;

test.each(HOSTS)(
  'P4 a partial at %s has the same key whatever was opened before',
  async (base, before, other) => {
    const alone = await keyIn([`${base}/f`]);
    const later = await keyIn([before, other, `${base}/f`]);
    expect(later.key).toBe(alone.key);
    expect((await keyIn([`${base}/g`])).key).not.toBe(alone.key);
    expect((await keyIn([other])).key).not.toBe(alone.key);
    expect(new Set(later.services).size).toBe(3);
  },
);
