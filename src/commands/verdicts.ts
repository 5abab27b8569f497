import type { Verdict } from '../verify.ts';
import type { Finding } from './verify-demands.ts';

const WORDS: Readonly<Record<Verdict['status'] | Finding['status'], string>> = {
  proven: 'OK',
  wrong: 'WRONG',
  missing: 'MISSING',
  unverifiable: 'NOT VERIFIED',
  extra: 'EXTRA',
};

/** `name: WRONG, expected sha256 …, it has …`. */
export function verdictLine(verdict: Verdict | Finding): string {
  const word = WORDS[verdict.status];
  if (verdict.status !== 'proven') {
    return `${verdict.name}: ${word}${verdict.problem === '' ? '' : `, ${verdict.problem}`}`;
  }
  const { algorithm } = verdict.digest;
  if (verdict.reused !== undefined)
    return `${verdict.name}: ${word}, ${algorithm} of ${verdict.reused}, not read now`;
  return `${verdict.name}: ${word}, ${algorithm}${verdict.by === 'service' ? ' as the service stores it' : ''}`;
}

/** The same for programs. */
export function verdictJson(verdict: Verdict | Finding): Readonly<Record<string, unknown>> {
  if (verdict.status !== 'proven') return { ...verdict };
  const { name, status, by, digest, size, reused } = verdict;
  return { name, status, by, algorithm: digest.algorithm, value: digest.value, size, reused };
}

/** Counts verdicts and tells of them in one line. */
export function createTally() {
  const counts = new Map<string, number>();
  const of = (status: keyof typeof WORDS) => counts.get(status) ?? 0;
  let reused = 0;
  return {
    /** One that was proven by what was written down earlier. */
    countReused(): void {
      reused += 1;
    },
    count(status: keyof typeof WORDS): void {
      counts.set(status, of(status) + 1);
    },
    /** Everything that was asked for was proven, and something was. */
    isGood: () => of('proven') > 0 && [...counts.keys()].every((status) => status === 'proven'),
    hasProven: () => of('proven') > 0,
    summary(): string {
      const unread = reused === 0 ? '' : ` (${reused.toLocaleString('en')} by receipts, not read now)`;
      const parts = [`${of('proven').toLocaleString('en')} proven${unread}`];
      for (const [status, word] of [
        ['wrong', 'wrong'],
        ['missing', 'missing'],
        ['unverifiable', 'not verified'],
        ['extra', 'extra'],
      ] as const) {
        if (of(status) > 0) parts.push(`${of(status).toLocaleString('en')} ${word}`);
      }
      return counts.size === 0 ? 'nothing to verify: no digest was listed' : parts.join(', ');
    },
  };
}
