import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import { extract } from '../../src/image/layers/extract.ts';
import { flatten } from '../../src/image/layers/flatten.ts';
import type { Bytes } from '../../src/protocol.ts';
import { layCanaries, linesOfModel, linesOfTree, stateOf } from '../torture/canaries.ts';
import { type Model, modelOf } from '../torture/layer-model.ts';
import { memoryDirectory, withScratch } from '../torture/scratch.ts';
import { archive, chunked, type Written } from './archives.ts';
import { layerOf } from './layer.ts';

const SEED = Number(process.env.SEED ?? 20_261_129);
const { signal } = new AbortController();

const part = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('a', 'b', 'c') },
  { weight: 3, arbitrary: fc.constantFrom('\xff\xfe', 'n'.repeat(150), ' \n', '.', '') },
);
const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/') || '.');
const hidden = fc.constantFrom('.wh.a', '.wh.b', '.wh..wh..opq', '.wh..wh..opq', '.wh..wh.plnk', '.wh.c');
const whiteout = fc
  .tuple(fc.array(part, { maxLength: 2 }), hidden)
  .map(([parts, last]) => [...parts, last].join('/'));
const facts = {
  mode: fc.constantFrom(0o777, 0o600, 0o4755, 0o2711, 0o1777, 0),
  uid: fc.nat(3),
  gid: fc.constantFrom(0, 7, 70_000),
  modified: fc.constantFrom(0, 1, 1_700_000_000.25, 4_000_000_000),
};
const contents = fc.oneof(
  fc.constantFrom('', 'x', 'y'.repeat(700)).map((data) => ({ data })),
  fc.constantFrom(0, 5, 512).map((offset) => ({
    size: 5000,
    data: `${'s'.repeat(512)}t`,
    extents: [
      { offset, length: 512 },
      { offset: 4000, length: 1 },
    ],
  })),
);

/** Members that aim at what lies outside as at one another. */
const members = (outside: string): fc.Arbitrary<Written> => {
  const target = fc.oneof(
    { weight: 6, arbitrary: path },
    { weight: 1, arbitrary: fc.constantFrom('..', '/', '/a', '../../outside', '../b', 'a/../../c') },
    { weight: 1, arbitrary: fc.constantFrom(outside, `${outside}/file`, '../file', '/proc/self/root') },
  );
  const name = fc.oneof(
    { weight: 60, arbitrary: path },
    { weight: 2, arbitrary: fc.constantFrom(`${outside}/new`, `${outside}/file`) },
    { weight: 1, arbitrary: fc.constantFrom('../file', 'a/../../file', '.wh.', 'a/.wh..') },
  );
  const other = fc.constantFrom<NonNullable<Written['type']>>('fifo', 'character', 'block');
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(name, fc.record(facts), contents)
        .map(([one, fact, content]) => ({ name: one, ...fact, ...content })),
    },
    { weight: 4, arbitrary: fc.record({ name, type: fc.constant('directory' as const), ...facts }) },
    {
      weight: 5,
      arbitrary: fc.record({ name, type: fc.constant('symlink' as const), link: target, ...facts }),
    },
    { weight: 2, arbitrary: fc.record({ name, type: fc.constant('hardlink' as const), link: target }) },
    {
      weight: 1,
      arbitrary: fc.record({ name, type: other, major: fc.constant(1), minor: fc.constant(3), ...facts }),
    },
    { weight: 3, arbitrary: whiteout.map((one) => ({ name: one })) },
  );
};

test(`S7 whatever layers there are, what root extracts is what the rules say, and nothing outside is touched (seed ${SEED})`, async () => {
  expect(process.getuid?.(), 'only root can show it: run the tests as root').toBe(0);
  await withScratch('hostile-layers', memoryDirectory(), holds);
});

async function holds(directory: string): Promise<void> {
  const { root, outside } = layCanaries(directory);
  const before = stateOf(directory);
  const outcomes = { refused: 0, extracted: 0 };

  async function requireTree(
    tar: Bytes,
    model: Model | undefined,
    taken: { setuid: boolean; devices: boolean },
  ) {
    // What a case before has left when it failed.
    fs.rmSync(root, { recursive: true, force: true });
    const code = await extract(tar, root, taken).then(
      () => 'extracted',
      (error: TransferError) => `${error.code}: ${error.message}`,
    );
    if (model) {
      expect(code).toBe('extracted');
      expect(linesOfTree(root)).toEqual(linesOfModel(model, taken));
      outcomes.extracted += 1;
    } else {
      expect(code).toMatch(/^invalid-request: /);
      outcomes.refused += 1;
    }
    fs.rmSync(root, { recursive: true, force: true });
    // The directory that the root lies in was written to; all else in it was not.
    expect(stateOf(directory).replace(OWN, '')).toBe(before.replace(OWN, ''));
  }

  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(members(outside), { maxLength: 9 }), { minLength: 1, maxLength: 4 }),
      fc.record({ setuid: fc.boolean(), devices: fc.boolean() }),
      async (layers, taken) => {
        const [first = []] = layers;
        await requireTree(chunked(archive(first), 700), modelOf([first], { hasWhiteouts: false }), taken);
        const merged = flatten(layers.map(plain), signal);
        await requireTree(merged, modelOf(layers, { hasWhiteouts: true }), taken);
      },
    ),
    { seed: SEED, numRuns: 400 },
  );
  expect(Math.min(outcomes.refused, outcomes.extracted)).toBeGreaterThan(50);
  expect(fs.readdirSync(join(directory, 'private'))).toEqual(['file']);
}

/** A layer as it is: how it is packed is another matter. */
function plain(members: readonly Written[]) {
  const tar = archive(members);
  return layerOf(tar, tar);
}

/** Of a directory in which names come and go, times and links of directories. */
const OWN = /^private .*$/m;
