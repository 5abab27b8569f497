// Shows that the tests notice faults: puts each one of list.mjs into a copy of the tree and runs the test that it names.
//   node test/mutations/run.mjs            all of them
//   node test/mutations/run.mjs WORD...    those whose names contain every word
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTATIONS } from './list.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const COPIED = [
  'bin',
  'docs',
  'fixtures',
  'protocols',
  'src',
  'test',
  'build.mjs',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
];
/** A fault may make a test wait for ever, as well as fail; servers take their time to come up. */
const PATIENCE = { unit: 60_000, real: 240_000 };

const words = process.argv.slice(2);
const chosen = Object.entries(MUTATIONS).filter(([name]) => words.every((word) => name.includes(word)));
const tree = mkdtempSync(join(tmpdir(), 'bridle-mutations-'));
process.on('exit', () => rmSync(tree, { recursive: true, force: true }));
for (const name of COPIED) cpSync(join(ROOT, name), join(tree, name), { recursive: true });
symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));

const faults = [];
for (const [name, { file, from, to, test }] of chosen) {
  const path = join(tree, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(from).length !== 2) {
    faults.push(`${name}: its text does not stand exactly once in ${file}`);
    continue;
  }
  const sound = runTest(test);
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  const broken = runTest(test);
  writeFileSync(path, source);
  const verdict =
    sound.passed === 0 || sound.failed > 0 ? 'fails without it' : broken.failed > 0 ? 'noticed' : 'MISSED';
  process.stdout.write(`${verdict}: ${name}\n`);
  if (verdict !== 'noticed') faults.push(`${name}: ${verdict}, by ${test.join(': ')}`);
}
for (const fault of faults) process.stdout.write(`${fault}\n`);
process.stdout.write(`${chosen.length - faults.length} noticed, ${faults.length} not\n`);
process.exitCode = faults.length === 0 && chosen.length > 0 ? 0 : 1;

/** How many tests of this name passed and failed. One that could not run, or did not end, failed. */
function runTest([file, name]) {
  const report = join(tree, 'report.json');
  rmSync(report, { force: true });
  const project = file.startsWith('test/real/') ? 'real' : 'unit';
  const line = [join(tree, 'node_modules/vitest/vitest.mjs'), 'run', `--project=${project}`, file];
  line.push('--reporter=json', `--outputFile=${report}`);
  if (name !== '') line.push('-t', name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  spawnSync(process.execPath, line, {
    cwd: tree,
    stdio: 'ignore',
    timeout: PATIENCE[project],
    killSignal: 'SIGKILL',
  });
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(report, 'utf8'));
    return {
      passed: numPassedTests,
      failed: numFailedTests + (numPassedTests === 0 ? numFailedTestSuites : 0),
    };
  } catch {
    return { passed: 0, failed: 1 };
  }
}
