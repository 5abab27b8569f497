import { expect, test } from 'vitest';
import { runKills } from '../torture/kills.ts';
import { percentile } from '../torture/ledger.ts';
import { memoryDirectory, withScratch } from '../torture/scratch.ts';
import type { SubjectName } from '../torture/subject.ts';
import { runVariants } from '../torture/variants.ts';

const MIB = 1024 * 1024;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** A sample of what `npm run torture` does at length. */
const SAMPLE = { size: 128 * MIB, rate: 100 * MIB, seed };
const SUBJECTS: readonly SubjectName[] = ['http', 'local'];

process.stdout.write(`kill: seed ${seed} (SEED)\n`);

test.each(SUBJECTS)(
  'L10 P1 P4 P9 a transfer (%s) that is killed at any moment leaves nothing wrong, and the next run goes on behind it',
  async (name) => {
    const ledger = await withScratch('kill', memoryDirectory(), (directory) =>
      runKills(name, { ...SAMPLE, kills: 12, parallel: 2, directory }),
    );
    expect(ledger.violations).toEqual([]);
    expect(ledger.kills).toBeGreaterThanOrEqual(12);
    // The bar is for 95 of 100; of a dozen, on a machine that does other things as well, half is what can be held.
    expect(percentile(ledger.again, 0.5)).toBeLessThanOrEqual(16 * MIB);
  },
);

test.each(SUBJECTS)(
  'P4 P8 L13 whatever happens to what a broken off transfer (%s) left, the next run gets it right and says what it did',
  async (name) => {
    const ledger = await withScratch('kill', memoryDirectory(), (directory) =>
      runVariants(name, { ...SAMPLE, rounds: 1, directory }),
    );
    expect(ledger.violations).toEqual([]);
  },
);
