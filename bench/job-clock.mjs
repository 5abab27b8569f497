// node bench/job-clock.mjs RUNS
// Runs a job bound by the processor, bare and under the wrapper in turn, and fails when the medians of the time that the
// job itself measured differ by more than 1 %.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MOST = 0.01;
const WRAPPER = fileURLToPath(new URL('../bin/pegasus-kickstart', import.meta.url));
// Native code: when the compiler of JavaScript finds a moment differs from run to run.
const SPIN = `const { createHash } = require('node:crypto'); const block = Buffer.alloc(1 << 20, 1); const hash = createHash('sha256');
const [began, used] = [performance.now(), process.cpuUsage()];
for (let i = 0; i < 1024; i++) hash.update(block);
const { user, system } = process.cpuUsage(used);
process.stdout.write(JSON.stringify([performance.now() - began, (user + system) / 1000]))`;
const JOB = [process.execPath, '-e', SPIN];
// The wrapper expands its arguments: nothing in the job is a dollar or a quote that does not close.
const CASES = { bare: JOB, wrapped: [WRAPPER, '-l', '/dev/null', '-o', '-', '-H', ...JOB] };

const found = { bare: [], wrapped: [] };
for (let run = 0; run < Number(process.argv[2]); run++) {
  for (const [name, [program, ...args]] of Object.entries(CASES)) {
    const { stdout, status } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name}: status ${status}`);
    found[name].push(JSON.parse(stdout));
  }
}
const median = (name, index) =>
  found[name].map((one) => one[index]).sort((a, b) => a - b)[Math.floor(found[name].length / 2)];
for (const [index, what] of ['its own clock', 'its processor time'].entries()) {
  const [bare, wrapped] = [median('bare', index), median('wrapped', index)];
  const off = Math.abs(wrapped / bare - 1);
  const verdict = `${what}: ${wrapped.toFixed(1)} ms against ${bare.toFixed(1)} ms bare, off by ${(off * 100).toFixed(2)} % of ${MOST * 100} %`;
  process.stdout.write(`${verdict}\n`);
  if (off <= MOST) continue;
  process.stderr.write(`${verdict}\n`);
  process.exitCode = 1;
}
