import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newFolder, runJob } from '../job/jobs.ts';

const TIME = '/usr/bin/time';
/** `time` rounds to hundredths of a second, and is a process of its own, of a millisecond or two. */
const ROUNDING = 0.015;
let folder: string;

beforeAll(() => {
  folder = newFolder();
  if (!fs.existsSync(TIME)) throw new Error('needs GNU time: apt-get install time');
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** One run, counted twice: by `time` of the program, and by us of `time` with all that it waited for. */
async function both(program: string, args: readonly string[]) {
  const report = join(folder, 'report');
  const { usage, status } = await runJob(TIME, {
    args: ['-q', '-o', report, '-f', '%U %S %M %R %F %w %c %I %O', program, ...args],
  });
  expect(status).toBe(0);
  const [
    utime = 0,
    stime = 0,
    maxrss = 0,
    minflt = 0,
    majflt = 0,
    nvcsw = 0,
    nivcsw = 0,
    inblock = 0,
    outblock = 0,
  ] = fs.readFileSync(report, 'utf8').trim().split(' ').map(Number);
  return { ours: usage, theirs: { utime, stime, maxrss, minflt, majflt, nvcsw, nivcsw, inblock, outblock } };
}

const SPIN =
  'const end = process.cpuUsage().user + 8e5; while (process.cpuUsage().user < end) for (let i = 0; i < 1e6; i++);';
const CASES: readonly [string, readonly string[]][] = [
  ['bound by the processor', [process.execPath, '-e', SPIN]],
  ['bound by memory', [process.execPath, '-e', 'Buffer.alloc(400 << 20, 1)']],
  ['small', ['/bin/true']],
  [
    'that forks',
    [
      '/bin/sh',
      '-c',
      `i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i + 1)); done; exec ${process.execPath} -e '${SPIN}'`,
    ],
  ],
  [
    'that writes to a disk',
    ['/bin/dd', 'if=/dev/zero', 'of=/var/tmp/bridle-usage', 'bs=1M', 'count=8', 'conv=fsync'],
  ],
];

test.each(CASES)(
  'the usage of a job %s is what GNU time says of the same run',
  async (_, [program = '', ...args]) => {
    const { ours, theirs } = await both(program, args);
    fs.rmSync('/var/tmp/bridle-usage', { force: true });
    const off = (mine: number, other: number) => Math.abs(mine - other);
    expect(off(ours.utime, theirs.utime)).toBeLessThanOrEqual(theirs.utime * 0.03 + ROUNDING);
    expect(off(ours.stime, theirs.stime)).toBeLessThanOrEqual(theirs.stime * 0.03 + ROUNDING);
    // `time` itself has 2 MiB, which a smaller program does not exceed.
    expect(off(ours.maxrss, theirs.maxrss)).toBeLessThanOrEqual(Math.max(theirs.maxrss * 0.05, 2048));
    for (const name of ['minflt', 'majflt', 'nvcsw', 'nivcsw', 'inblock', 'outblock'] as const) {
      expect(ours[name] - theirs[name], name).toBeGreaterThanOrEqual(0);
      expect(ours[name] - theirs[name], name).toBeLessThan(250);
    }
  },
);
