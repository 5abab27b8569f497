// What `npm test` runs: every test, and one line at the end that says how many passed and failed.
//   npm test -- --without-servers   only the tests that need nothing but node
//   npm test -- PATH...             only these files
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installMissing, missingServers } from './servers.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** The same random cases in every run; another number makes others. */
const SEED = process.env.SEED ?? '20260101';

const args = process.argv.slice(2);
const withoutServers = args.includes('--without-servers');
const rest = args.filter((arg) => arg !== '--without-servers');

prepareServers();
const built = spawnSync(process.execPath, ['build.mjs', '--if-missing'], { cwd: ROOT, stdio: 'inherit' });
const counts = built.status === 0 ? await runVitest() : { passed: 0, failed: 1 };
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;

function prepareServers() {
  if (withoutServers) {
    process.stdout.write('left out: the group `real` (tests against real servers, test/real)\n');
    return;
  }
  const missing = missingServers();
  if (missing.length > 0) installMissing(missing);
  for (const { name, packages } of missingServers()) {
    process.stdout.write(
      `cannot start ${name}, its tests will fail: no such program here; on Debian, \`apt-get install ${packages.join(' ')}\`\n` +
        'hint: `npm test -- --without-servers` leaves these groups out\n',
    );
  }
}

async function runVitest() {
  const directory = mkdtempSync(join(tmpdir(), 'bridle-test-'));
  const report = join(directory, 'report.json');
  process.stdout.write(`seed: ${SEED} (SEED)\n`);
  const line = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', `--sequence.seed=${SEED}`];
  line.push('--reporter=default', '--reporter=json', `--outputFile.json=${report}`);
  if (withoutServers) line.push('--project=unit');
  const child = spawn(process.execPath, [...line, ...rest], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, SEED },
  });
  const status = await new Promise((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => resolve(code));
  });
  const counts = countTests(report, status);
  rmSync(directory, { recursive: true, force: true });
  return counts;
}

/** A file that could not run, tests whose preparation failed and a crash of vitest itself are failures. */
function countTests(report, status) {
  let files;
  try {
    files = JSON.parse(readFileSync(report, 'utf8')).testResults;
  } catch {
    process.stdout.write(`vitest ended with status ${status} and without a report\n`);
    return { passed: 0, failed: 1 };
  }
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const of = (...states) => file.assertionResults.filter(({ status }) => states.includes(status)).length;
    passed += of('passed');
    const lost = file.status === 'failed' ? of('failed', 'skipped', 'pending') : of('failed');
    failed += file.status === 'failed' ? Math.max(1, lost) : lost;
  }
  if (status !== 0 && failed === 0) {
    process.stdout.write(`vitest ended with status ${status} although every test passed\n`);
    failed = 1;
  }
  return { passed, failed };
}
