/** What the kills of one subject came to. */
export interface Ledger {
  /** Kills that ended a run. */
  kills: number;
  /** Of those: before anything was asked for; with the new content already under its name. */
  early: number;
  late: number;
  /** Transfers that came to their end. */
  finished: number;
  /** Runs that went on behind an earlier one. */
  resumed: number;
  /** Kills after which everything was cleaned away by `bridle clean`. */
  cleaned: number;
  /** What killed runs left on a service and no later run took up; all of it could be found. */
  orphans: number;
  /** For each kill that cost something measurable: bytes that were sent before it and had to be sent again. */
  readonly again: number[];
  /** For each kill of a transfer to or from a service: bytes that were read before it and had to be read again. */
  readonly reread: number[];
  readonly violations: string[];
}

export function openLedger(): Ledger {
  return {
    kills: 0,
    early: 0,
    late: 0,
    finished: 0,
    resumed: 0,
    cleaned: 0,
    orphans: 0,
    again: [],
    reread: [],
    violations: [],
  };
}

/** What all lanes wrote down, once each is over, so that none works on when another fails. Rejects with why the first one did. */
export async function settleLanes(lanes: readonly Promise<Ledger>[]): Promise<Ledger> {
  const settled = await Promise.allSettled(lanes);
  const broken = settled.find((one) => one.status === 'rejected');
  if (broken) throw broken.reason;
  return sumLedgers(settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
}

/** One ledger for what several lanes wrote down. */
export function sumLedgers(ledgers: readonly Ledger[]): Ledger {
  const sum = openLedger();
  for (const one of ledgers) {
    sum.kills += one.kills;
    sum.early += one.early;
    sum.late += one.late;
    sum.finished += one.finished;
    sum.resumed += one.resumed;
    sum.cleaned += one.cleaned;
    sum.orphans += one.orphans;
    sum.again.push(...one.again);
    sum.reread.push(...one.reread);
    sum.violations.push(...one.violations);
  }
  return sum;
}

/** The value that a share of the values does not exceed; 0 of none (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

const MIB = 1024 * 1024;

/** Bytes in MiB with one decimal. */
export function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** One row of the table in `docs/torture.md`. */
export function ledgerRow(name: string, ledger: Ledger): string {
  const { again, reread } = ledger;
  const cells = [
    name,
    ledger.kills,
    ledger.early,
    ledger.late,
    ledger.resumed,
    ledger.cleaned,
    ledger.orphans,
    ledger.violations.length,
    again.length,
    mebibytes(percentile(again, 0.5)),
    mebibytes(percentile(again, 0.95)),
    mebibytes(percentile(again, 1)),
    reread.length === 0 ? '' : mebibytes(percentile(reread, 0.95)),
  ];
  return `| ${cells.join(' | ')} |`;
}

export const LEDGER_HEAD = [
  '| subject | kills | before the first byte | after the rename | resumed | cleaned | orphans | violations | measured | again p50 | p95 | max | read again p95 |',
  '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
];
