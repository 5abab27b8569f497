// node bench/job-clock.mjs RUNS
// Runs a job bound by the processor, bare and under the wrapper in turn, and fails when the medians of the time that the
// job itself measured differ by more than 1 %.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MOST = 0.01;
const WRAPPER = fileURLToPath(new URL('../bin/pegasus-kickstart', import.meta.url));
const SPIN = `const began = performance.now(); let n = 0; for (let i = 0; i < 1e9; i++) n += i;
process.stdout.write(String(performance.now() - began) + (n > 1 ? '' : ' '))`;
const JOB = [process.execPath, '-e', SPIN];
// The wrapper expands its arguments: nothing in the job is a dollar or a quote that does not close.
const CASES = { bare: JOB, wrapped: [WRAPPER, '-l', '/dev/null', '-o', '-', '-H', ...JOB] };

const found = { bare: [], wrapped: [] };
for (let run = 0; run < Number(process.argv[2]); run++) {
  for (const [name, [program, ...args]] of Object.entries(CASES)) {
    const { stdout, status } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name}: status ${status}`);
    found[name].push(Number(stdout));
  }
}
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const [bare, wrapped] = [median(found.bare), median(found.wrapped)];
const off = Math.abs(wrapped / bare - 1);
const verdict = `its own clock: ${wrapped.toFixed(1)} ms against ${bare.toFixed(1)} ms bare, off by ${(off * 100).toFixed(2)} % of ${MOST * 100} %`;
process.stdout.write(`${verdict}\n`);
if (off > MOST) {
  process.stderr.write(`${verdict}\n`);
  process.exitCode = 1;
}
