import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './checkout.ts';

/** Test files with properties over generated input, relative to the root. */
export function propertyFiles(): string[] {
  const names = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  const tests = names.filter((name) => name.endsWith('.test.ts')).map((name) => join('test', name));
  return tests.filter((file) => readFileSync(join(ROOT, file), 'utf8').includes("from 'fast-check'")).sort();
}

export interface Fuzzed {
  readonly files: readonly string[];
  readonly rounds: number;
  readonly violations: readonly string[];
}

/** Runs every property again and again, each round with other cases: `SEED` is what the tests begin from. */
export function findByFuzzing(rounds: number, seed: number, progress: (round: number) => void): Fuzzed {
  const files = propertyFiles();
  const violations: string[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    progress(round);
    const own = String(seed + round);
    const line = [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--project',
      'unit',
      '--reporter',
      'dot',
      ...files,
    ];
    const env = { ...process.env, SEED: own, NO_COLOR: '1' };
    const { status, stdout } = spawnSync(process.execPath, line, { cwd: ROOT, env, encoding: 'utf8' });
    if (status !== 0) violations.push(`a property does not hold with SEED=${own}: ${stdout.slice(-3000)}`);
  }
  return { files, rounds, violations };
}
