import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runKills } from './kills.ts';
import { LEDGER_HEAD, type Ledger, ledgerRow, percentile } from './ledger.ts';
import type { SubjectName } from './subject.ts';
import { runVariants } from './variants.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MIB = 1024 * 1024;
/** What a kill may cost, for 95 of 100. */
const MOST_AGAIN = 16 * MIB;
/** Bytes a second: an embedded server reaches it evenly, and a transfer takes seconds. */
const RATES: Readonly<Record<SubjectName, number>> = { http: 100 * MIB, local: 200 * MIB };
const SHOWN = 20;

/** Kills transfers at random moments, then tries what may have happened between two runs. The exit status tells. */
export async function killMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      parallel: { type: 'string', default: '2' },
      size: { type: 'string', default: '512' },
      subject: { type: 'string', default: 'http,local' },
      rounds: { type: 'string', default: '5' },
      directory: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
    },
  });
  const seed = Number(values.seed);
  const size = Number(values.size) * MIB;
  const directory = await mkdtemp(join(values.directory, 'bridle-torture-'));
  print(`seed: ${seed} (--seed), commit: ${commit()}, files of ${values.size} MiB\n`);
  const rows: string[] = [...LEDGER_HEAD];
  const ledgers: Ledger[] = [];
  try {
    for (const name of values.subject.split(',') as SubjectName[]) {
      const options = { size, seed, directory, rate: RATES[name], parallel: Number(values.parallel) };
      const kills = Number(values.runs);
      const progress = (done: number) => process.stderr.write(`\r${name}: ${done} of ${kills} kills `);
      const ledger = await runKills(name, { ...options, kills, progress });
      process.stderr.write('\n');
      rows.push(ledgerRow(name, ledger));
      const after = await runVariants(name, { ...options, rounds: Number(values.rounds) });
      rows.push(ledgerRow(`${name}, and then something happens`, after));
      ledgers.push(ledger, after);
      if (percentile(ledger.again, 0.95) > MOST_AGAIN) {
        ledger.violations.push(`${name}: more than ${MOST_AGAIN} bytes again for 5 of 100 kills`);
      }
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  print(`${rows.join('\n')}\n`);
  const violations = ledgers.flatMap((ledger) => ledger.violations);
  for (const violation of violations.slice(0, SHOWN)) print(`violation: ${violation}\n`);
  if (violations.length > SHOWN) print(`and ${violations.length - SHOWN} more\n`);
  print(`${violations.length} violations\n`);
  return violations.length === 0 ? 0 : 1;
}

/** What is checked out; `+` when it was changed since. */
export function commit(): string {
  const git = (...words: string[]) => spawnSync('git', words, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim();
  const head = git('rev-parse', '--short', 'HEAD') || 'unknown';
  return git('status', '--porcelain', 'src', 'protocols', 'bin') ? `${head}+` : head;
}

function print(text: string): void {
  process.stdout.write(text);
}
