import { afterEach, expect, test } from 'vitest';
import { closeDav, type DavVisit, scriptedDav } from './scripted.ts';

const never = new AbortController().signal;
afterEach(closeDav);

const multistatus = (properties: string) =>
  `<?xml version="1.0"?><d:multistatus xmlns:d="DAV:"><d:response><d:href>/a/</d:href><d:propstat><d:prop>${properties}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>`;

/** A server with these properties of every directory. */
const withQuota = (answer: (visit: DavVisit) => void) =>
  scriptedDav((visit) => {
    if (visit.method !== 'OPTIONS') return answer(visit);
    visit.answer(200, '', { dav: '1, 3', allow: 'GET,PUT, PROPFIND', server: 'dCache/9.2' });
  });

/** What cannot be told without changing something. */
const UPLOADS = {
  label: 'broken uploads',
  text: 'go on if the server stores ranges, which each run tries',
};

test('a server tells its classes, its methods and the room that the directory of a file has', async () => {
  const { endpoint, asked } = await withQuota(({ answer }) =>
    answer(
      207,
      multistatus(
        '<d:quota-available-bytes>1048576</d:quota-available-bytes><d:quota-used-bytes>512</d:quota-used-bytes>',
      ),
    ),
  );
  expect(await endpoint.describe?.('/a/f', { signal: never })).toEqual([
    { label: 'server', text: 'dCache/9.2' },
    { label: 'dav', text: 'classes 1, 3' },
    { label: 'methods', text: 'GET PUT PROPFIND' },
    UPLOADS,
    { label: 'free', bytes: 1_048_576 },
    { label: 'used', bytes: 512 },
  ]);
  expect(asked).toEqual(['OPTIONS /a/f', 'PROPFIND /a/']);
});

test.each([
  ['Apache/2.4.66 (Debian)', 'go on: the server stores ranges'],
  ['nginx/1.22.1', 'start over: the server refuses ranges'],
  ['Not-Apache', 'go on if the server stores ranges, which each run tries'],
])('what becomes of broken uploads is told of %s', async (server, text) => {
  const { endpoint } = await scriptedDav((visit) =>
    visit.method === 'OPTIONS' ? visit.answer(200, '', { server }) : visit.answer(405),
  );
  expect(await endpoint.describe?.('/a/', { signal: never })).toContainEqual({
    label: 'broken uploads',
    text,
  });
});

test.each([
  ['nginx/1.22.1', ['perhaps no names that begin with a dot']],
  ['Apache/2.4.66 (Debian)', []],
])('that names may be left out of listings is told of %s', async (server, texts) => {
  const { endpoint } = await scriptedDav((visit) =>
    visit.method === 'OPTIONS' ? visit.answer(200, '', { server }) : visit.answer(405),
  );
  const facts = (await endpoint.describe?.('/a/', { signal: never })) ?? [];
  expect(facts.filter(({ label }) => label === 'lists').map(({ text }) => text)).toEqual(texts);
});

test.each([
  ['has no quota', (visit: DavVisit) => visit.answer(207, multistatus(''))],
  [
    'says that there is no end of it',
    (visit: DavVisit) =>
      visit.answer(207, multistatus('<d:quota-available-bytes>-3</d:quota-available-bytes>')),
  ],
  ['knows no PROPFIND', (visit: DavVisit) => visit.answer(405)],
  ['answers with what is no multistatus', (visit: DavVisit) => visit.answer(207, '<html></html>')],
])('room is not told where the server %s', async (_, answer) => {
  const { endpoint } = await withQuota(answer);
  const facts = (await endpoint.describe?.('/a/', { signal: never })) ?? [];
  expect(facts.length).toBeGreaterThan(0);
  expect(facts.filter(({ bytes }) => bytes !== undefined)).toEqual([]);
});
