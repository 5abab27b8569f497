// node bench/job-usage.mjs KIND RUNS
// Runs a job in turn under GNU time and as a job of ours, and fails when the medians of what both say differ: processor
// time by more than 3 %, peak memory by more than 5 %.
import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTypescript } from '../test/torture/load.mjs';

const SPIN = 'let n = 0; for (let i = 0; i < 2e8; i++) n += i; process.exitCode = n > 1 ? 0 : 1';
const KINDS = {
  cpu: [process.execPath, '-e', SPIN],
  memory: [process.execPath, '-e', 'for (let i = 0; i < 4; i++) Buffer.alloc(300 << 20, 1)'],
  forks: ['/bin/sh', '-c', 'i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i + 1)); done'],
};

const [, , kind, runs] = process.argv;
const words = KINDS[kind];
const report = join(tmpdir(), `bridle-usage-${process.pid}`);
const { launch } = await loadTypescript(new URL('../src/job/launch.ts', import.meta.url));
const nothing = openSync('/dev/null', 'r+');
const environment = Object.entries(process.env).map(([name, value]) => Buffer.from(`${name}=${value}`));

async function ours() {
  const args = words.map((word) => Buffer.from(word));
  const running = await launch({ file: args[0], args, environment, stdio: [nothing, nothing, nothing] });
  const { usage } = await running.ended;
  return [usage.utime + usage.stime, usage.maxrss];
}

function theirs() {
  spawnSync('/usr/bin/time', ['-q', '-o', report, '-f', '%U %S %M', ...words]);
  const [utime, stime, maxrss] = readFileSync(report, 'utf8').split(' ').map(Number);
  return [utime + stime, maxrss];
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const found = [];
for (let run = 0; run < Number(runs); run++) found.push([await ours(), theirs()]);
rmSync(report, { force: true });
for (const [index, name, most] of [
  [0, 'processor time', 0.03],
  [1, 'peak memory', 0.05],
]) {
  const [own, other] = [0, 1].map((side) => median(found.map((pair) => pair[side][index])));
  const off = Math.abs(own / other - 1);
  const verdict = `${kind}: ${name}: ${own} against ${other}, off by ${(off * 100).toFixed(1)} % of ${most * 100} %`;
  process.stdout.write(`${verdict}\n`);
  if (off <= most) continue;
  process.stderr.write(`${verdict}\n`);
  process.exitCode = 1;
}
