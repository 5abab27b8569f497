import { afterEach, describe, expect, test } from 'vitest';
import { keyOfPartial, leftoverOf, nonceOf, partialName, plainPartialName } from '../../src/partial-name.ts';
import type { Entry } from '../../src/protocol.ts';
import { closeDav, KEY, multistatus, never, scriptedDav, XML } from './scripted.ts';

afterEach(closeDav);

async function list(answers: Readonly<Record<string, string>>, path: string, recursive = false) {
  const dav = await scriptedDav(({ path: asked, answer, request }) => {
    const body = answers[asked];
    expect(request.headers.depth).toBe('1');
    if (body === undefined) answer(404);
    else answer(207, body.replaceAll('ORIGIN', `http://${request.headers.host}`), XML);
  });
  const entries: Entry[] = [];
  for await (const entry of dav.endpoint.list!(path, { signal: never, recursive })) entries.push(entry);
  return { entries, names: entries.map(({ name }) => name), asked: dav.asked };
}

describe('a listing', () => {
  test.each([
    ['paths', ''],
    ['whole URLs', 'ORIGIN'],
  ])(
    'by %s, encoded in whatever way, names what lies in the directory, and not itself',
    async (_, origin) => {
      const { names } = await list(
        {
          '/d%20ir/': multistatus(
            [`${origin}/d%20ir`],
            [`${origin}/d ir/b`, 1],
            [`${origin}/d%20ir/%61/`],
            [`${origin}/d%20ir/(x)%28`, 1],
          ),
        },
        '/d%20ir',
      );
      expect(names).toEqual(['(x)(', 'a', 'b']);
    },
  );

  test('goes below only when asked, one directory at a time', async () => {
    const answers = {
      '/d/': multistatus(['/d/'], ['/d/z', 1], ['/d/s/']),
      '/d/s/': multistatus(['/d/s/'], ['/d/s/f', 2]),
    };
    expect((await list(answers, '/d')).names).toEqual(['s', 'z']);
    expect((await list(answers, '/d/', true)).names).toEqual(['s', 's/f', 'z']);
  });

  test.each([
    ['/other/f', 'f'],
    ['/d/a/b', 'b'],
    ['/d/..', '..'],
    ['/d/%2e%2e', '%2e%2e'],
    ['/d/a%2Fb', 'a%2Fb'],
    ['/d/a%00', 'a%00'],
    ['/d/%ff', '%ff'],
  ])('S2 L14 that names `%s` tells of a problem with it', async (href, name) => {
    const { entries } = await list({ '/d/': multistatus(['/d/'], [href, 1], ['/d/good', 1]) }, '/d', true);
    const bad = entries.filter(({ problem }) => problem !== undefined);
    expect(bad).toMatchObject([{ name, problem: expect.stringContaining(JSON.stringify(href)) }]);
    expect(entries).toHaveLength(2);
  });

  test('of a file is refused', async () => {
    await expect(list({ '/f/': multistatus(['/f', 3]) }, '/f')).rejects.toMatchObject({
      code: 'invalid-request',
    });
  });

  test('of many members names each of them, in order', async () => {
    const count = 5000;
    const entries: [string, number?][] = [['/d/']];
    for (let index = count - 1; index >= 0; index--)
      entries.push([`/d/${String(index).padStart(6, '0')}`, index]);
    const { names } = await list({ '/d/': multistatus(...entries) }, '/d');
    expect(names).toHaveLength(count);
    expect(names.at(-1)).toBe(String(count - 1).padStart(6, '0'));
  });
});

describe('names of partials', () => {
  test('are told from all others, with their key', () => {
    const name = partialName(KEY, '0123456789abcdef');
    expect(name).toBe(`.bridle-${KEY}-0123456789abcdef.part`);
    expect(keyOfPartial(name)).toBe(KEY);
    expect(plainPartialName(KEY, '0123456789abcdef')).toBe(name.slice(1));
    expect(keyOfPartial(name.slice(1))).toBe(KEY);
    for (const other of [`x${name}`, `${name}x`, '.bridle-x.part', '', name.toUpperCase()]) {
      expect(keyOfPartial(other)).toBeUndefined();
    }
  });

  test('P9 have a number behind them where nginx could not copy one: not listed, found by clean, never gone on with', async () => {
    const name = `${plainPartialName(KEY, '0123456789abcdef')}.0000000058`;
    const answers = { '/d/': multistatus(['/d/'], [`/d/${name}`, 3], ['/d/f', 1]) };
    expect((await list(answers, '/d')).names).toEqual(['f']);
    expect(leftoverOf(name)).toEqual({ kind: 'partial', key: KEY });
    expect(nonceOf(name)).toBe('0123456789abcdef');
    expect(keyOfPartial(name)).toBeUndefined();
    expect(leftoverOf(`${name}.txt`)).toBeUndefined();
  });
});
