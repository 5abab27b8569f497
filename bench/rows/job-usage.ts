import { fileURLToPath } from 'node:url';
import type { Contender, Row } from '../row.ts';

const PROGRAM = fileURLToPath(new URL('../job-usage.mjs', import.meta.url));
/** Runs within one: what is compared are medians of these. */
const RUNS = '7';

export const jobUsage: Row = {
  name: 'job-usage',
  title: 'what jobs have used, compared with GNU time: a contender ends well when both say the same',
  runs: 1,
  async prepare() {
    const contenders = ['cpu', 'memory', 'forks'].map(
      (kind): Contender => ({
        name: `a job that needs ${kind}`,
        words: [process.execPath, PROGRAM, kind, RUNS],
        needs: '/usr/bin/time',
      }),
    );
    return { contenders, bars: [] };
  },
};

const CLOCK = fileURLToPath(new URL('../job-clock.mjs', import.meta.url));

export const jobClock: Row = {
  name: 'job-clock',
  title: 'a job bound by the processor, by its own clock: ends well when that is the same without a wrapper',
  runs: 1,
  prepare: async () => ({
    contenders: [{ name: 'a job under pegasus-kickstart', words: [process.execPath, CLOCK, '11'] }],
    bars: [],
  }),
};
