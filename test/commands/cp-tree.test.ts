import { describe, expect, test } from 'vitest';
import { below, escapes } from '../../src/commands/arguments.ts';
import { type Walk, walkTree } from '../../src/commands/cp-tree.ts';
import { localLocation, parseUrl } from '../../src/location.ts';
import type { Event, Outcome } from '../../src/outcome.ts';
import type { Endpoint, Entry } from '../../src/protocol.ts';
import type { Request } from '../../src/request.ts';

/** Walks what a service says it has, to a local directory. */
async function walk(entries: readonly Entry[], filter: Walk['filter'] = () => true) {
  const events: Event[] = [];
  const requests: Request[] = [];
  const endpoint = {
    service: 'remote',
    async *list() {
      yield* entries;
    },
  } as unknown as Endpoint;
  let index = 0;
  const tools: Walk = {
    endpoints: { open: async () => endpoint, close: async () => undefined },
    emit: (event) => events.push(event),
    signal: new AbortController().signal,
    filter,
    nextIndex: () => index++,
  };
  const target = {
    source: parseUrl('https://host/tree'),
    destination: { location: localLocation('/nowhere/out') },
    isDirectory: true,
  };
  for await (const request of walkTree(target, tools)) requests.push(request);
  const refused = events.flatMap((event): Outcome[] => (event.type === 'item-ended' ? [event.outcome] : []));
  return { requests, refused, warnings: events.filter((event) => event.type === 'warning') };
}

const file = (name: string): Entry => ({ name, stat: { type: 'file' } });
const directory = (name: string): Entry => ({ name, stat: { type: 'directory' } });

function destinations(requests: readonly Request[]): string[] {
  return requests.map((request) =>
    request.kind === 'transfer'
      ? (request.destinations[0]?.location.path ?? '')
      : `${request.target.location.path}/`,
  );
}

describe('a listing that somebody else wrote', () => {
  test.each(['../x', 'a/../../x', '..', '/etc/passwd', 'a//b', './x', 'a/', '', 'a\0b'])(
    'S2 L14 the name %j is refused as an item of its own, and the others are copied',
    async (name) => {
      const { requests, refused } = await walk([file('a'), file(name), file('b')]);
      expect(destinations(requests)).toEqual(['/nowhere/out/a', '/nowhere/out/b']);
      expect(refused).toMatchObject([{ status: 'failed', failure: { code: 'invalid-request' } }]);
      expect(refused[0]?.failure?.message).toContain('is refused: it ');
    },
  );

  test('P5 a directory that cannot be read is refused as an item of its own, unless it is excluded', async () => {
    const sealed: Entry = { ...directory('sealed'), problem: 'list: permission denied' };
    const { requests, refused } = await walk([file('a'), sealed, file('z')]);
    expect(destinations(requests)).toEqual(['/nowhere/out/a', '/nowhere/out/z']);
    expect(refused).toMatchObject([{ status: 'failed' }]);
    expect(refused[0]?.failure?.message).toContain('`sealed` is refused: list: permission denied');
    expect((await walk([sealed], (name) => name !== 'sealed')).refused).toEqual([]);
  });

  test('L14 names keep every character, encoded for URLs and plain for this disk', async () => {
    const { requests } = await walk([file('a b/%2F?#é')]);
    expect(requests).toMatchObject([
      {
        sources: [{ location: { path: '/tree/a%20b/%252F%3F%23%C3%A9' } }],
        destinations: [{ location: { path: '/nowhere/out/a b/%2F?#é' } }],
      },
    ]);
  });

  test('directories that are empty are made, the others by their files', async () => {
    const entries = [directory('a'), directory('a/b'), directory('c'), file('c/d'), directory('e')];
    expect(destinations((await walk(entries)).requests)).toEqual([
      '/nowhere/out/a/b/',
      '/nowhere/out/c/d',
      '/nowhere/out/e/',
    ]);
    expect(destinations((await walk([])).requests)).toEqual(['/nowhere/out/']);
  });

  test('every item has a position of its own', async () => {
    const { requests, refused } = await walk([file('a'), file('..'), file('b'), directory('c')]);
    expect([...requests, ...refused].map(({ index }) => index).sort()).toEqual([0, 1, 2, 3]);
  });

  test('what is no file is told up to twenty times, then counted', async () => {
    const links = Array.from({ length: 25 }, (_, n): Entry => ({ name: `l${n}`, stat: { type: 'symlink' } }));
    const { warnings } = await walk(links);
    expect(warnings).toHaveLength(21);
    expect(warnings.at(-1)).toMatchObject({ message: 'not copied: 5 more' });
  });
});

test('S2 good names are not refused', () => {
  for (const name of ['a', 'a/b', '...', '..a', 'a..', '.hidden', ' ', '\n'])
    expect(escapes(name)).toBeUndefined();
});

test('below keeps the secret of a URL with what it belongs to', () => {
  const place = parseUrl('https://joe:pw@host/d/');
  expect(below(place, 'x')).toMatchObject({ location: { path: '/d/x' }, secret: { password: 'pw' } });
});
