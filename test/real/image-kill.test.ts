import { expect, test } from 'vitest';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { runImageKills } from '../torture/image-kills.ts';
import { IMAGE_SUBJECTS, type ImageSubjectName } from '../torture/image-lane.ts';
import { memoryDirectory, withScratch } from '../torture/scratch.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** A sample of what `node test/torture/kill.mjs --subject image-…` does at length. */
const SAMPLE = { kills: 4, parallel: 2, seed };
const NAMES = Object.keys(IMAGE_SUBJECTS) as ImageSubjectName[];

process.stdout.write(`image-kill: seed ${seed} (SEED)\n`);

test.each(NAMES)(
  'L10 P1 P4 P9 what is done with an image (%s) and killed at any moment shows nothing wrong, is gone on with, and leaves nothing',
  async (name) => {
    findProgram('tar2sqfs');
    const ledger = await withScratch('kill', memoryDirectory(), (directory) =>
      runImageKills(name, { ...SAMPLE, directory }),
    );
    expect(ledger.violations).toEqual([]);
    expect(ledger.kills).toBeGreaterThanOrEqual(4);
  },
  120_000,
);
