import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { canKillAtCalls, runCallKills } from './calls.ts';
import { buildProduct, describeCheckout, describeMachine } from './checkout.ts';
import { findByFuzzing } from './fuzz.ts';
import { describeViolations, findByKilling } from './kill.ts';
import { findByMemory, LARGE_PAIRS } from './memory-pairs.ts';
import { SERVICES, type ServiceName } from './remote-lane.ts';
import { memoryDirectory, withScratch } from './scratch.ts';
import { findByServers, SUITES } from './servers.ts';
import { findBySize, SIZES } from './sizes.ts';
import type { SubjectName } from './subject.ts';

const MIB = 1024 * 1024;
/** Kills for each service and direction. */
const REMOTE_RUNS = 300;
const SUBJECTS: readonly SubjectName[] = ['http', 'local'];
/** Journaled, of three blocks, and quick: a debugger looks on at every call. */
const CALLS_SIZE = 20 * MIB;
/** Bytes a second: as good as no limit for such a file. */
const FAST = 1e9;

/**
 * Everything that takes long: properties with many seeds, files of every size that matters, kills before every system
 * call that matters, kills at random moments. Prints what `docs/torture.md` shows and writes nothing into the tree.
 */
export async function tortureMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '10' },
      fuzz: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      parallel: { type: 'string', default: '2' },
      size: { type: 'string', default: '512' },
      large: { type: 'string', default: '2048' },
      directory: { type: 'string' },
      roots: { type: 'string' },
    },
  });
  buildProduct();
  const seed = Number(values.seed);
  const violations: string[] = [];
  print(`${describeCheckout()}; ${describeMachine()}; seed ${seed}\n\n`);

  const tell = (round: number) => process.stderr.write(`\rproperties: round ${round} of ${values.fuzz} `);
  const fuzzed = findByFuzzing(Number(values.fuzz), seed, tell);
  process.stderr.write('\n');
  violations.push(...fuzzed.violations);
  print(
    `- properties: ${fuzzed.rounds} rounds of ${fuzzed.files.length} files, ${fuzzed.violations.length} broken\n`,
  );

  await withScratch('torture', values.directory ?? memoryDirectory(), async (directory) => {
    const wrong = await findBySize(directory, seed);
    violations.push(...wrong);
    print(`- sizes: ${SIZES.length} from 0 to ${SIZES.at(-1)} bytes, six ways each, ${wrong.length} wrong\n`);
    violations.push(...(await killAtCalls(directory, seed)));
    const found = await findByKilling({
      subjects: SUBJECTS,
      directions: [],
      runs: Number(values.runs),
      rounds: Number(values.rounds),
      seed,
      parallel: Number(values.parallel),
      size: Number(values.size) * MIB,
      directory,
    });
    violations.push(...found.violations);
    print(`- kills at random moments, files of ${values.size} MiB:\n\n${found.lines.join('\n')}\n\n`);
    const remote = await findByKilling({
      subjects: Object.keys(SERVICES) as ServiceName[],
      directions: ['up', 'down'],
      runs: Math.min(Number(values.runs), REMOTE_RUNS),
      rounds: 0,
      seed,
      parallel: Number(values.parallel),
      size: 0,
      directory,
    });
    violations.push(...remote.violations);
    print(`- kills of transfers to and from services, of 64 MiB:\n\n${remote.lines.join('\n')}\n\n`);
  });
  const memory = await findByMemory(LARGE_PAIRS, Number(values.large) * MIB);
  violations.push(...memory.violations);
  print(`- memory:\n\n${memory.lines.join('\n')}\n\n`);
  if (values.roots === undefined) print('- other gateways: not tried, no directory for them (--roots DIR)\n');
  else {
    const others = findByServers(resolve(values.roots), SUITES);
    violations.push(...others.violations);
    print(`- other gateways:\n\n${others.lines.join('\n')}\n\n`);
  }
  print(describeViolations(violations));
  return violations.length === 0 ? 0 : 1;
}

async function killAtCalls(directory: string, seed: number): Promise<string[]> {
  if (!canKillAtCalls()) {
    print('- kills before system calls: not tried, no `strace` that may trace here\n');
    return [];
  }
  const violations: string[] = [];
  for (const name of SUBJECTS) {
    const ledger = await runCallKills(name, { size: CALLS_SIZE, rate: FAST, seed, directory });
    violations.push(...ledger.violations);
    const over = ledger.startedOver.length === 0 ? 'none' : ledger.startedOver.join('; ');
    print(`- kills before system calls, ${name}: ${ledger.kills}, ${ledger.violations.length} violations;`);
    print(` resumable bytes given up: ${over}\n`);
  }
  return violations;
}

function print(text: string): void {
  process.stdout.write(text);
}
