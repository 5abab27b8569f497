import type { TransferError } from '../errors.ts';
import { formatSize, plural, safeText } from '../report/format.ts';
import type { Finding, Reason } from './clean-find.ts';

/** What became of one finding. */
export interface Done {
  readonly finding: Finding;
  readonly action: 'removed' | 'would remove' | 'kept' | 'failed';
  readonly why?: Reason;
  readonly error?: TransferError;
}

const WORDS: Readonly<Record<Reason, string>> = {
  'in use': 'a process may be writing it',
  'too young': 'younger than --older-than',
  'perhaps of others': "no note here tells of it: perhaps somebody else's",
  'put aside': 'what its name held before it was to be replaced: perhaps the only copy',
  'taken up': 'another run has taken it up just now',
};

/** One line: what was done, how old, how large, what, where and why. */
export function describeDone({ finding, action, why, error }: Done): string {
  const { kind, where, size, age } = finding;
  const columns = [
    action.padEnd(12),
    (age === undefined ? '-' : formatAge(age)).padStart(5),
    (size === undefined || kind === 'folder' ? '-' : formatSize(size)).padStart(9),
    kind.padEnd(7),
    where,
  ];
  const reason = why ? ` (${WORDS[why]})` : error ? ` (${error.message})` : '';
  return `${safeText(columns.join('  ') + reason)}\n`;
}

/** The same for programs. */
export function describeJson({ finding, action, why, error }: Done): string {
  const { kind, where, size, age } = finding;
  const value = {
    action: action === 'would remove' ? 'would-remove' : action,
    kind,
    url: where,
    size,
    ageSeconds: age === undefined ? undefined : Math.floor(age / 1000),
    reason: why?.replaceAll(' ', '-'),
    error: error?.code,
    message: error?.message,
  };
  return `${JSON.stringify(value)}\n`;
}

/** Counts, so that a million findings need no memory. */
export interface Tally {
  add(done: Done): void;
  count(): number;
  /** What it came to, and what could be done next. */
  summary(): string;
}

export function createTally(): Tally {
  const sums = new Map<Done['action'], { count: number; bytes: number }>();
  const reasons = new Set<Reason>();
  const count = () => [...sums.values()].reduce((sum, one) => sum + one.count, 0);
  return {
    add({ action, why, finding }) {
      const sum = sums.get(action) ?? { count: 0, bytes: 0 };
      sums.set(action, { count: sum.count + 1, bytes: sum.bytes + (finding.size ?? 0) });
      if (why) reasons.add(why);
    },
    count,
    summary() {
      if (count() === 0) return 'nothing was left behind\n';
      const parts = (['removed', 'would remove', 'kept', 'failed'] as const).flatMap((action) => {
        const sum = sums.get(action);
        if (!sum) return [];
        const words = action === 'would remove' ? 'would be removed' : action;
        return [`${sum.count} ${words}${sum.bytes > 0 ? ` (${formatSize(sum.bytes)})` : ''}`];
      });
      const hints = (['perhaps of others', 'too young', 'put aside'] as const).flatMap((why) =>
        reasons.has(why) ? [`hint: ${HINTS[why]}\n`] : [],
      );
      return `${plural(count(), 'leftover')}: ${parts.join(', ')}\n${hints.join('')}`;
    },
  };
}

const HINTS = {
  'perhaps of others': '--any-owner removes uploads that others may have begun, too',
  'too young': '--older-than AGE says how old is old enough',
  'put aside': 'rename what was put aside to the name that it had, or remove it with `bridle rm`',
} as const;

/** Two digits and a unit are enough. */
function formatAge(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
