import { spawnSync } from 'node:child_process';
import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { buildProduct, describeCheckout, describeMachine } from '../test/torture/checkout.ts';
import { type Run, runOnce } from './measure.ts';
import type { Contender, Contest, Row } from './row.ts';
import { ROWS } from './rows/rows.ts';
import { type StageOptions, withStage } from './stage.ts';
import { formatContest, type Measured } from './table.ts';

const PEERS: Readonly<Record<string, readonly string[]>> = {
  aria2c: ['--version'],
  rclone: ['version'],
  curl: ['--version'],
  openssl: ['version'],
  cp: ['--version'],
  ssh: ['-V'],
};
const RUNS = 5;

/** Runs the rows that were named, or all, and prints their tables. The exit status is 1 when a row could not be run. */
export async function benchMain(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'memory-directory': { type: 'string' },
      'disk-directory': { type: 'string' },
    },
  });
  const rows = positionals.length === 0 ? ROWS : ROWS.filter(({ name }) => positionals.includes(name));
  const unknown = positionals.filter((name) => !ROWS.some((row) => row.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `unknown: ${unknown.join(', ')}; there are ${ROWS.map(({ name }) => name).join(', ')}\n`,
    );
    return 2;
  }
  buildProduct();
  print(`${describeMachine()}, Linux ${release()}; ${describeCheckout()}; ${peerVersions().join(', ')}\n`);
  if (values.quick) print('\nQuick: few small files, to see that it works. These numbers say nothing.\n');
  const stageOptions: StageOptions = {
    quick: values.quick,
    ...(values['memory-directory'] === undefined ? {} : { memory: values['memory-directory'] }),
    ...(values['disk-directory'] === undefined ? {} : { disk: values['disk-directory'] }),
  };
  let failures = 0;
  for (const row of rows) {
    print(`\n### ${row.name}: ${row.title}\n\n`);
    try {
      const usual = values.quick ? Math.min(2, row.runs ?? RUNS) : (row.runs ?? RUNS);
      const runs = row.runs === 0 ? 0 : Number(values.runs ?? usual);
      print(await runRow(row, runs, stageOptions));
    } catch (error) {
      failures += 1;
      print(`Not run: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
  return failures === 0 ? 0 : 1;
}

async function runRow(row: Row, runs: number, options: StageOptions): Promise<string> {
  return withStage(options, async (stage) => {
    const contest = await row.prepare(stage);
    const missing = contest.contenders.filter(({ needs }) => needs !== undefined && !isThere(needs));
    const present = contest.contenders.filter((contender) => !missing.includes(contender));
    const measured = await measure(row.name, contest, present, runs);
    const short = (text: string) =>
      text
        .replaceAll(stage.directory, '$MEMORY')
        .replaceAll(stage.disk, '$DISK')
        .replace(/\S*\/bin\/(bridle|pegasus-transfer|pegasus-kickstart)\b/, '$1')
        .replaceAll(process.execPath, 'node');
    const left = missing.map(({ name, needs }) => `${name} (no \`${needs}\` here)`);
    return formatContest(contest, measured, left, short);
  });
}

/** A B A B …, after one round of each that fills the caches and measures memory. */
async function measure(
  row: string,
  contest: Contest,
  contenders: readonly Contender[],
  runs: number,
): Promise<Measured[]> {
  const measured: (Measured & { readonly seconds: number[]; readonly processor: Run['processor'][] })[] = [];
  for (const contender of contenders) {
    progress(`${row}: memory of ${contender.name}`);
    const { memory, seconds, processor, temporary } = await runOnce(contender, contest, { memory: true });
    measured.push({
      contender,
      seconds: runs === 0 ? [seconds] : [],
      processor: runs === 0 ? [processor] : [],
      memory,
      temporary,
    });
  }
  for (let round = 1; round <= runs; round += 1) {
    for (const { contender, seconds, processor } of measured) {
      progress(`${row}: run ${round} of ${runs}, ${contender.name}`);
      const run = await runOnce(contender, contest, { memory: false });
      seconds.push(run.seconds);
      processor.push(run.processor);
    }
  }
  progress('');
  return measured;
}

function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$0"', program]).status === 0;
}

function peerVersions(): string[] {
  return Object.entries(PEERS).map(([program, words]) => {
    const { stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
    // ssh tells its version on the other stream.
    const text = stdout || stderr;
    return text ? (text.split('\n')[0] ?? '').split(' ').slice(0, 3).join(' ') : `no ${program}`;
  });
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function print(text: string): void {
  process.stdout.write(text);
}
