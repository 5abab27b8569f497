import { describe, expect, test } from 'vitest';
import { planStep } from '../../src/plan.ts';
import type { Endpoint } from '../../src/protocol.ts';
import { chooseRoute, type RouteWants } from '../../src/route.ts';
import { fixedRandom, place, transferOf } from '../faults/scene.ts';

describe('planning', () => {
  const sources = ['http://a/x', 'http://b/x', 'http://c/x'];

  function order(priorities: (number | undefined)[], random = fixedRandom()) {
    const places = sources.map((url, at) => {
      const priority = priorities[at];
      return { ...place(url), ...(priority === undefined ? {} : { priority }) };
    });
    const step = planStep({ ...transferOf(sources, '/to'), sources: places }, { random });
    if (step.kind !== 'transfer') throw new Error('no transfer');
    return step.pairs.map(({ source }) => source.location.authority);
  }

  test('the higher priority comes first', () => {
    expect(order([1, 300, 200])).toEqual(['b', 'c', 'a']);
  });

  test('one without a priority has 1 to 100, drawn', () => {
    expect(order([0, undefined, 101])).toEqual(['c', 'b', 'a']);
  });

  test('equal ones come in an order that is drawn, and each is first some time', () => {
    const random = fixedRandom();
    const firsts = new Set(Array.from({ length: 50 }, () => order([5, 5, 5], random)[0]));
    expect([...firsts].sort()).toEqual(['a', 'b', 'c']);
  });

  test('every source is tried for the first destination before the second is', () => {
    const request = {
      ...transferOf(['http://a/x'], '/one'),
      destinations: [place('/one'), place('/two')],
    };
    const step = planStep(request, { random: fixedRandom() });
    expect(step.kind === 'transfer' && step.pairs.map((pair) => pair.destination.location.path)).toEqual([
      '/one',
      '/two',
    ]);
  });
});

describe('routes', () => {
  const bare: Endpoint = {
    service: 'local',
    stat: async () => ({ type: 'file' }),
    read: async () => {
      throw new Error('not read');
    },
  };
  const able: Endpoint = {
    ...bare,
    link: async () => undefined,
    move: async () => undefined,
    copy: async () => ({ commit: async () => ({ digests: [] }), abort: async () => undefined }),
  };
  const wants: RouteWants = {
    destinationScheme: 'file',
    digest: false,
    symlink: false,
    touchesBytes: false,
  };

  test.each<[string, string, Endpoint, Endpoint, Partial<RouteWants>]>([
    ['copy', 'one service that can copy', able, able, {}],
    ['stream', 'a service that cannot copy', bare, bare, {}],
    ['stream', 'two services', able, { ...able, service: 'other' }, {}],
    ['stream', 'a digest that was asked for', able, able, { digest: true }],
    ['stream', 'a limit on the bytes', able, able, { touchesBytes: true }],
    ['link', '`--symlink`', able, able, { symlink: true }],
    [
      'copy',
      '`--symlink` where nothing can be linked',
      able,
      { ...able, link: undefined } as never,
      { symlink: true },
    ],
    ['stream', '`--symlink` between two services', able, { ...able, service: 'other' }, { symlink: true }],
    ['link', 'a `symlink` destination', able, able, { destinationScheme: 'symlink' }],
    ['move', 'a `moveto` destination', able, able, { destinationScheme: 'moveto' }],
    [
      'stream',
      'a `moveto` destination of another service',
      { ...able, service: 'x' },
      able,
      { destinationScheme: 'moveto' },
    ],
  ])('%s for %s', (kind, _, from, to, more) => {
    const route = chooseRoute(from, to, { ...wants, ...more });
    expect(route.kind).toBe(kind);
    expect(route.why).not.toBe('');
  });
});
