import type { Run } from './measure.ts';
import type { Bar, Contender, Contest } from './row.ts';

export interface Measured {
  readonly contender: Contender;
  readonly seconds: readonly number[];
  readonly processor: readonly Run['processor'][];
  readonly memory: number | undefined;
  readonly temporary: number | undefined;
}

/** The middle value; the mean of the middle two when there is none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = Math.floor(sorted.length / 2);
  const lower = Math.ceil(sorted.length / 2) - 1;
  return ((sorted[lower] ?? Number.NaN) + (sorted[upper] ?? Number.NaN)) / 2;
}

/** One row's table, its bars, and its commands; `short` replaces directories that mean nothing to a reader. */
export function formatContest(
  contest: Contest,
  measured: readonly Measured[],
  missing: readonly string[],
  short: (text: string) => string,
): string {
  const { moves, servers, temporary } = contest;
  const base = median(measured[0]?.seconds ?? []);
  const head = [
    '',
    'runs',
    'median',
    'min–max',
    'times the first',
    ...(moves ? [`${moves.unit}/s`] : []),
    ...(servers ? ['processor time', "servers' share"] : []),
    'peak memory',
    ...(temporary === undefined ? [] : ['temporary bytes']),
  ];
  const lines = measured.map(({ contender, seconds, memory, ...run }) => {
    const middle = median(seconds);
    return [
      contender.name,
      seconds.length,
      time(middle),
      `${time(Math.min(...seconds))}–${time(Math.max(...seconds))}`,
      (middle / base).toFixed(2),
      ...(moves ? [contender.output ? Math.round(moves.count / middle).toLocaleString('en') : ''] : []),
      ...(servers ? shares(run.processor) : []),
      memory === undefined ? '' : `${Math.round(memory)} MiB`,
      ...(temporary === undefined ? [] : [(run.temporary ?? 0).toLocaleString('en')]),
    ];
  });
  const table = [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`);
  const commands = measured.map(({ contender }) => `    ${short(contender.words.map(quote).join(' '))}`);
  const parts = [table.join('\n'), judge(contest, measured).join('\n'), commands.join('\n')];
  if (missing.length > 0) parts.push(`Left out: ${missing.join('; ')}`);
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** Of the whole, and how much of it the servers took. */
function shares(processor: Measured['processor']): string[] {
  const servers = median(processor.map((one) => one.servers));
  const whole = median(processor.map((one) => one.own + one.servers));
  return [time(whole), whole === 0 ? '' : `${Math.round((100 * servers) / whole)} %`];
}

function time(seconds: number): string {
  return seconds < 1 ? `${(seconds * 1000).toFixed(0)} ms` : `${seconds.toFixed(2)} s`;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A line for each bar: what was wanted, what was reached. */
export function judge(contest: Contest, measured: readonly Measured[]): string[] {
  const lines = contest.bars.map((bar) => judgeBar(bar, measured));
  const { mostMemory } = contest;
  for (const { contender, memory } of measured) {
    if (mostMemory === undefined || memory === undefined || !isOurs(contender)) continue;
    const verdict = memory <= mostMemory ? 'held' : 'MISSED';
    lines.push(`- ${verdict}: ${contender.name} in at most ${mostMemory} MiB: ${Math.round(memory)} MiB`);
  }
  return lines;
}

function isOurs({ name }: Contender): boolean {
  return /^(bridle|pegasus-(transfer|kickstart))/.test(name);
}

function judgeBar(bar: Bar, measured: readonly Measured[]): string {
  const of = (name: string) => measured.find(({ contender }) => contender.name === name)?.seconds;
  const own = of(bar.contender);
  const theirs = bar.against.map(of).filter((seconds) => seconds !== undefined);
  const peers = bar.against.join(' or ');
  const { time: most, speed: least, longer } = bar;
  if (longer !== undefined) {
    const wanted = `at most ${time(longer)} longer than ${peers}`;
    if (!own || theirs.length < bar.against.length) return `- not measured: ${bar.contender} ${wanted}`;
    const more = median(own) - Math.max(...theirs.map(median));
    const sign = more < 0 ? '-' : '';
    return `- ${more <= longer ? 'held' : 'MISSED'}: ${bar.contender} ${wanted}: ${sign}${time(Math.abs(more))}`;
  }
  const wanted =
    least === undefined
      ? `at most ${most} × the time of ${peers}`
      : `at least ${least} × the speed of ${peers}`;
  if (!own || theirs.length < bar.against.length) return `- not measured: ${bar.contender} ${wanted}`;
  const slowest = Math.max(...theirs.map(median));
  const ratio = least === undefined ? median(own) / slowest : slowest / median(own);
  const held = least === undefined ? ratio <= (most ?? 0) : ratio >= least;
  return `- ${held ? 'held' : 'MISSED'}: ${bar.contender} ${wanted}: ${ratio.toFixed(2)} ×`;
}
