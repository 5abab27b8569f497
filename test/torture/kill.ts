import { parseArgs } from 'node:util';
import { describeCheckout } from './checkout.ts';
import { runKills } from './kills.ts';
import { LEDGER_HEAD, type Ledger, ledgerRow, percentile } from './ledger.ts';
import { memoryDirectory, withScratch } from './scratch.ts';
import type { SubjectName } from './subject.ts';
import { runVariants } from './variants.ts';

const MIB = 1024 * 1024;
/** What a kill may cost, for 95 of 100. */
const MOST_AGAIN = 16 * MIB;
/** Bytes a second: an embedded server reaches it evenly, and a transfer takes seconds. */
const RATES: Readonly<Record<SubjectName, number>> = { http: 100 * MIB, local: 200 * MIB };
const SHOWN = 20;
/** Characters that tell one kind of violation from another. */
const KIND = 40;

export interface KillTableOptions {
  readonly subjects: readonly SubjectName[];
  /** Kills of each subject. */
  readonly runs: number;
  /** Times that each of the things that may happen between two runs is tried. */
  readonly rounds: number;
  readonly seed: number;
  readonly parallel: number;
  readonly size: number;
  readonly directory: string;
}

export interface Findings {
  /** Markdown. */
  readonly lines: readonly string[];
  readonly violations: readonly string[];
}

/** Kills transfers at random moments, then tries what may have happened between two runs. */
export async function findByKilling(options: KillTableOptions): Promise<Findings> {
  const lines: string[] = [...LEDGER_HEAD];
  const ledgers: Ledger[] = [];
  for (const name of options.subjects) {
    const shared = { ...options, rate: RATES[name] };
    const progress = (done: number) => process.stderr.write(`\r${name}: ${done} of ${options.runs} kills `);
    const ledger = await runKills(name, { ...shared, kills: options.runs, progress });
    process.stderr.write('\n');
    const after = await runVariants(name, shared);
    if (percentile(ledger.again, 0.95) > MOST_AGAIN) {
      ledger.violations.push(`${name}: more than ${MOST_AGAIN} bytes again for 5 of 100 kills`);
    }
    lines.push(ledgerRow(name, ledger), ledgerRow(`${name}, and then something happens`, after));
    ledgers.push(ledger, after);
  }
  return { lines, violations: ledgers.flatMap((ledger) => ledger.violations) };
}

/** What is wrong, each kind once with how often it was found, and how many there are. */
export function describeViolations(violations: readonly string[]): string {
  const kinds = new Map<string, { readonly first: string; count: number }>();
  for (const first of violations) {
    // Behind the name of the trial, and without what differs from trial to trial.
    const kind = first
      .replace(/^.*?: /, '')
      .replace(/[0-9a-f]{8,}|\d+/g, '#')
      .slice(0, KIND);
    const known = kinds.get(kind);
    if (known) known.count += 1;
    else kinds.set(kind, { first, count: 1 });
  }
  const shown = [...kinds.values()]
    .slice(0, SHOWN)
    .map(({ first, count }) => `violation (${count} ×): ${first}\n`);
  if (kinds.size > SHOWN) shown.push(`and ${kinds.size - SHOWN} other kinds\n`);
  return `${shown.join('')}${violations.length} violations\n`;
}

/** The kill harness alone. The exit status tells whether everything held. */
export async function killMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      parallel: { type: 'string', default: '2' },
      size: { type: 'string', default: '512' },
      subject: { type: 'string', default: 'http,local' },
      directory: { type: 'string' },
    },
  });
  process.stdout.write(`seed ${values.seed} (--seed), ${describeCheckout()}, files of ${values.size} MiB\n`);
  const { lines, violations } = await withScratch(
    'torture',
    values.directory ?? memoryDirectory(),
    (directory) =>
      findByKilling({
        subjects: values.subject.split(',') as SubjectName[],
        runs: Number(values.runs),
        rounds: Number(values.rounds),
        seed: Number(values.seed),
        parallel: Number(values.parallel),
        size: Number(values.size) * MIB,
        directory,
      }),
  );
  process.stdout.write(`${lines.join('\n')}\n${describeViolations(violations)}`);
  return violations.length === 0 ? 0 : 1;
}
