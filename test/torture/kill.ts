import { parseArgs } from 'node:util';
import { describeCheckout } from './checkout.ts';
import { runImageKills } from './image-kills.ts';
import { IMAGE_SUBJECTS, type ImageSubjectName } from './image-lane.ts';
import { runKills } from './kills.ts';
import { LEDGER_HEAD, type Ledger, ledgerRow, percentile } from './ledger.ts';
import { runRemoteKills } from './remote-kills.ts';
import { type Direction, SERVICES, type ServiceName } from './remote-lane.ts';
import { memoryDirectory, withScratch } from './scratch.ts';
import type { SubjectName } from './subject.ts';
import { runVariants } from './variants.ts';

const MIB = 1024 * 1024;
/** What a kill may cost, for 95 of 100. Of an upload to S3, whose parts count whole or not at all, what may be on its way. */
const MOST_AGAIN = 16 * MIB;
const MOST_AGAIN_S3 = 32 * MIB;
/** Bytes a second: an embedded server reaches it evenly, and a transfer takes seconds. */
const RATES: Readonly<Record<SubjectName, number>> = { http: 100 * MIB, local: 200 * MIB };
/** Bytes, and bytes a second, of transfers to and from services: every server reaches it, and a transfer takes a second. */
const REMOTE = { size: 64 * MIB, rate: 48 * MIB };
const SHOWN = 20;
/** Characters that tell one kind of violation from another. */
const KIND = 40;

export type KillSubject = SubjectName | ServiceName | ImageSubjectName;

export interface KillTableOptions {
  readonly subjects: readonly KillSubject[];
  readonly directions: readonly Direction[];
  /** Kills of each subject; of a service, in each direction. */
  readonly runs: number;
  /** Times that each of the things that may happen between two runs is tried. */
  readonly rounds: number;
  readonly seed: number;
  readonly parallel: number;
  /** Of the files of `http` and `local`. */
  readonly size: number;
  readonly directory: string;
}

export interface Findings {
  /** Markdown. */
  readonly lines: readonly string[];
  readonly violations: readonly string[];
}

/** Kills transfers at random moments; over HTTP and locally it then tries what may have happened between two runs. */
export async function findByKilling(options: KillTableOptions): Promise<Findings> {
  const lines: string[] = [...LEDGER_HEAD];
  const ledgers: Ledger[] = [];
  for (const name of options.subjects) {
    const rows = await killSubject(name, options);
    for (const [title, ledger] of rows) {
      lines.push(ledgerRow(title, ledger));
      ledgers.push(ledger);
    }
  }
  return { lines, violations: ledgers.flatMap((ledger) => ledger.violations) };
}

type Rows = readonly (readonly [title: string, ledger: Ledger])[];

function killSubject(name: KillSubject, options: KillTableOptions): Promise<Rows> {
  if (isImage(name)) return killImage(name, options);
  return isService(name) ? killRemote(name, options) : killOne(name, options);
}

function isImage(name: KillSubject): name is ImageSubjectName {
  return name in IMAGE_SUBJECTS;
}

function isService(name: SubjectName | ServiceName): name is ServiceName {
  return name in SERVICES;
}

async function killImage(name: ImageSubjectName, options: KillTableOptions): Promise<Rows> {
  const progress = (done: number) => tell(name, done, options.runs);
  const ledger = await runImageKills(name, { ...options, kills: options.runs, progress });
  process.stderr.write('\n');
  return [[name, ledger]];
}

async function killOne(name: SubjectName, options: KillTableOptions): Promise<Rows> {
  const shared = { ...options, rate: RATES[name] };
  const progress = (done: number) => tell(name, done, options.runs);
  const ledger = await runKills(name, { ...shared, kills: options.runs, progress });
  process.stderr.write('\n');
  const after = await runVariants(name, shared);
  judgeAgain(name, ledger);
  return [
    [name, ledger],
    [`${name}, and then something happens`, after],
  ];
}

async function killRemote(name: ServiceName, options: KillTableOptions): Promise<Rows> {
  const progress = (direction: Direction, done: number) => tell(`${name} ${direction}`, done, options.runs);
  const found = await runRemoteKills(name, { ...options, ...REMOTE, kills: options.runs, progress });
  process.stderr.write('\n');
  return [...found].map(([direction, ledger]) => {
    const title = `${name} ${direction}`;
    if (direction === 'down' || SERVICES[name].resumesUploads) judgeAgain(title, ledger);
    return [title, ledger] as const;
  });
}

function judgeAgain(title: string, ledger: Ledger): void {
  const most = title === 's3 up' ? MOST_AGAIN_S3 : MOST_AGAIN;
  if (percentile(ledger.again, 0.95) <= most) return;
  ledger.violations.push(`${title}: more than ${most} bytes again for 5 of 100 kills`);
}

function tell(title: string, done: number, of: number): void {
  process.stderr.write(`\r${title}: ${done} of ${of} kills `);
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
      direction: { type: 'string', default: 'up,down' },
      directory: { type: 'string' },
    },
  });
  process.stdout.write(`seed ${values.seed} (--seed), ${describeCheckout()}\n`);
  const { lines, violations } = await withScratch(
    'torture',
    values.directory ?? memoryDirectory(),
    (directory) =>
      findByKilling({
        subjects: values.subject.split(',') as KillSubject[],
        directions: values.direction.split(',') as Direction[],
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
