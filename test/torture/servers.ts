import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CEPH_ROOT } from '../../fixtures/servers/ceph-rgw.ts';
import { buildProduct, describeCheckout, describeMachine, ROOT } from './checkout.ts';

/** Releases of Debian whose gateways are newer than the one that `npm test` has. */
export const SUITES: readonly string[] = ['trixie', 'sid'];

/** Tests against a gateway, and those of their files that are meant. */
const TESTS: readonly (readonly string[])[] = [
  ['test/real/s3.test.ts', 'test/real/pegasus-s3.test.ts'],
  ['test/real/remote-kill.test.ts', '-t', '^s3 '],
];

export interface ServerFindings {
  /** Markdown. */
  readonly lines: readonly string[];
  readonly violations: readonly string[];
}

/**
 * Runs the real tests of S3 against the gateways of other releases of Debian. Their root file systems lie below `roots`,
 * and are made there when they are not (as root, with mmdebstrap: some minutes, and up to 2 GB for each).
 */
export function findByServers(roots: string, suites: readonly string[]): ServerFindings {
  const lines = ['| gateway | tests | passed | failed |', '|---|---|---|---|'];
  const violations: string[] = [];
  mkdirSync(roots, { recursive: true });
  for (const suite of suites) {
    const root = join(roots, suite);
    process.stderr.write(`servers: ${suite}\n`);
    const made = script('make-root.sh', [suite, root]);
    const said = script('in-root.sh', [root, '--', 'radosgw', '--version']);
    const version = /^ceph version (\S+)/m.exec(said.stdout)?.[1];
    if (made.status !== 0 || version === undefined) {
      violations.push(`servers ${suite}: no root file system: ${(made.stderr + said.stderr).slice(-1000)}`);
      continue;
    }
    const counted = TESTS.map((words) => runTests(root, words));
    const sum = (of: (one: Counted) => number) => counted.reduce((total, one) => total + of(one), 0);
    const [passed, failed] = [sum((one) => one.passed), sum((one) => one.failed.length)];
    lines.push(`| Ceph RGW ${version} (${suite}) | ${passed + failed} | ${passed} | ${failed} |`);
    for (const { failed } of counted) violations.push(...failed.map((name) => `servers ${suite}: ${name}`));
  }
  return { lines, violations };
}

function script(name: string, args: readonly string[]) {
  const words = [join(ROOT, 'fixtures/servers', name), ...args];
  return spawnSync('/bin/sh', words, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
}

interface Counted {
  readonly passed: number;
  /** Their names, and what went wrong when none could be run. */
  readonly failed: readonly string[];
}

function runTests(root: string, words: readonly string[]): Counted {
  const directory = mkdtempSync(join(tmpdir(), 'bridle-servers-'));
  const output = join(directory, 'found.json');
  try {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'real', ...words];
    const report = ['--reporter', 'json', '--outputFile', output];
    const env = { ...process.env, [CEPH_ROOT]: root, NO_COLOR: '1' };
    const run = spawnSync(process.execPath, [...vitest, ...report], { cwd: ROOT, env, encoding: 'utf8' });
    const told = JSON.parse(readFileSync(output, 'utf8')) as {
      readonly testResults: readonly {
        readonly message: string;
        readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
      }[];
    };
    const results = told.testResults.flatMap(({ assertionResults }) => assertionResults);
    const names = (status: string) =>
      results.filter((one) => one.status === status).map((one) => one.fullName);
    const [passed, failed] = [names('passed').length, names('failed')];
    // A server that does not start fails no single test.
    const whole = told.testResults.map(({ message }) => message).filter((message) => message !== '');
    const isBroken = failed.length === 0 && (run.status !== 0 || passed === 0);
    return { passed, failed: isBroken ? [...whole, `${words.join(' ')}: ended with ${run.status}`] : failed };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The gateways of other releases alone. The exit status tells whether everything held. */
export async function serversMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { roots: { type: 'string' }, suites: { type: 'string', default: SUITES.join(',') } },
  });
  if (values.roots === undefined) {
    process.stderr.write(
      '--roots: expected a directory for root file systems, of 4 GB, outside the checkout\n',
    );
    return 2;
  }
  buildProduct();
  process.stdout.write(`${describeCheckout()}; ${describeMachine()}\n`);
  const { lines, violations } = findByServers(resolve(values.roots), values.suites.split(','));
  process.stdout.write(`${lines.join('\n')}\n${violations.map((text) => `violation: ${text}\n`).join('')}`);
  return violations.length === 0 ? 0 : 1;
}
