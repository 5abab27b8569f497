import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly test: readonly [file: string, name: string];
}

const { MUTATIONS }: { MUTATIONS: Readonly<Record<string, Mutation>> } = await import(
  `${ROOT}test/mutations/list.mjs`
);

test.each(Object.entries(MUTATIONS))(
  'the fault %j can still be put in',
  (_, { file, from, test: [where] }) => {
    // Not the text itself: a failure would print the whole file.
    expect(readFileSync(join(ROOT, file), 'utf8').split(from).length - 1).toBe(1);
    expect(existsSync(join(ROOT, where))).toBe(true);
  },
);
