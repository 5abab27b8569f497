import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeScratch } from '../torture/kill.ts';
import { runKills } from '../torture/kills.ts';
import { percentile } from '../torture/ledger.ts';
import type { SubjectName } from '../torture/subject.ts';
import { runVariants } from '../torture/variants.ts';

const MIB = 1024 * 1024;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** A sample of what `npm run torture` does at length. */
const SAMPLE = { size: 128 * MIB, rate: 100 * MIB, seed };
let directory = '';

beforeAll(async () => {
  process.stdout.write(`kill: seed ${seed} (SEED)\n`);
  directory = await makeScratch('kill');
});

afterAll(() => rm(directory, { recursive: true, force: true }));

test.each<SubjectName>(['http', 'local'])(
  'L10 P1 P4 P9 a %s transfer that is killed at any moment leaves nothing wrong, and the next run goes on behind it',
  async (name) => {
    const ledger = await runKills(name, { ...SAMPLE, kills: 12, parallel: 2, directory });
    expect(ledger.violations).toEqual([]);
    expect(ledger.kills).toBeGreaterThanOrEqual(12);
    expect(percentile(ledger.again, 0.95)).toBeLessThanOrEqual(16 * MIB);
  },
);

test.each<SubjectName>(['http', 'local'])(
  'P4 P8 L13 whatever happens to a broken off %s transfer, the next run gets it right and says what it did',
  async (name) => {
    const ledger = await runVariants(name, { ...SAMPLE, rounds: 1, directory });
    expect(ledger.violations).toEqual([]);
  },
);
