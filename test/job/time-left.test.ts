import { describe, expect, test } from 'vitest';
import { timeLeft } from '../../src/commands/run/time-left.ts';

const NOW = 1_000_000_000_000;

describe('the time that a job has', () => {
  test('has no end without a deadline', () => {
    expect(timeLeft({ deadline: 0, reserve: 0 }, {}, NOW)).toBeUndefined();
  });

  test.each([
    [100, 0, 80, 10],
    [10_000, 0, 9700, 150],
    [100, 30, 70, 15],
    [100, 200, 0.001, 100],
  ])(
    'of %d s with %d s kept ends after %d s, and by force %d s later',
    (deadline, reserve, termAfter, killAfter) => {
      expect(timeLeft({ deadline, reserve }, {}, NOW)).toEqual({ termAfter, killAfter });
    },
  );

  test('is what Slurm says, unless a deadline is given', () => {
    const env = { SLURM_JOB_END_TIME: '1000000100' };
    expect(timeLeft({ deadline: 0, reserve: 0 }, env, NOW)?.termAfter).toBe(80);
    expect(timeLeft({ deadline: 10, reserve: 0 }, env, NOW)?.termAfter).toBe(8);
  });

  test('is a moment when Slurm should have ended it already', () => {
    const env = { SLURM_JOB_END_TIME: '999999999' };
    expect(timeLeft({ deadline: 0, reserve: 0 }, env, NOW)).toEqual({ termAfter: 0.001, killAfter: 0.1 });
  });

  test('is not guessed from what is no time', () => {
    expect(() => timeLeft({ deadline: 0, reserve: 0 }, { SLURM_JOB_END_TIME: 'soon' }, NOW)).toThrow(
      'SLURM_JOB_END_TIME: expected seconds since 1970, got `soon`',
    );
  });
});
