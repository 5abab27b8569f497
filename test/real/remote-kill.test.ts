import { describe, expect, test } from 'vitest';
import { percentile } from '../torture/ledger.ts';
import { runRemoteKills } from '../torture/remote-kills.ts';
import { type Direction, SERVICES, type ServiceName } from '../torture/remote-lane.ts';
import { memoryDirectory, withScratch } from '../torture/scratch.ts';

const MIB = 1024 * 1024;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** A sample of what `npm run torture` does at length. */
const SAMPLE = { size: 32 * MIB, rate: 48 * MIB, kills: 6, parallel: 2, seed };
const NAMES = Object.keys(SERVICES) as ServiceName[];
const DIRECTIONS: readonly Direction[] = ['up', 'down'];

process.stdout.write(`remote-kill: seed ${seed} (SEED)\n`);

describe.each(NAMES)('%s', (name) => {
  test('L10 P1 P4 P9 transfers there and back that are killed at any moment leave nothing wrong and nothing that cannot be found, and are gone on with', async () => {
    const found = await withScratch('kill', memoryDirectory(), (directory) =>
      runRemoteKills(name, { ...SAMPLE, directions: DIRECTIONS, directory }),
    );
    expect([...found.keys()]).toEqual(DIRECTIONS);
    for (const [direction, ledger] of found) {
      expect(ledger.violations).toEqual([]);
      expect(ledger.kills).toBeGreaterThanOrEqual(6);
      // The bar is for 95 of 100; of half a dozen, on a machine that does other things as well, half is what can be held.
      const isBound = direction === 'down' || SERVICES[name].resumesUploads;
      if (isBound) expect(percentile(ledger.again, 0.5)).toBeLessThanOrEqual(24 * MIB);
    }
  });
});
