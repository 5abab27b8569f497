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
  return `${verdict.name}: ${word}, ${algorithm}${verdict.by === 'service' ? ' as the service stores it' : ''}`;
}

/** The same for programs. */
export function verdictJson(verdict: Verdict | Finding): Readonly<Record<string, unknown>> {
  if (verdict.status !== 'proven') return { ...verdict };
  const { name, status, by, digest, size } = verdict;
  return { name, status, by, algorithm: digest.algorithm, value: digest.value, size };
}

/** Counts verdicts and tells of them in one line. */
export function createTally() {
  const counts = new Map<string, number>();
  const of = (status: keyof typeof WORDS) => counts.get(status) ?? 0;
  return {
    count(status: keyof typeof WORDS): void {
      counts.set(status, of(status) + 1);
    },
    /** Everything that was asked for was proven, and something was. */
    isGood: () => of('proven') > 0 && [...counts.keys()].every((status) => status === 'proven'),
    summary(): string {
      const parts = [`${of('proven').toLocaleString('en')} proven`];
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
