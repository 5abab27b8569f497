import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endSurvivors, type Running } from '../../src/job/launch.ts';
import { isRunning, type Job, newFolder, runScript, startJob, until } from './jobs.ts';

let folder: string;
let count = 0;

beforeAll(() => {
  folder = newFolder();
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** A job whose output can be read while it runs. */
async function start(script: string, job: Job = {}): Promise<Running & { readonly said: () => string }> {
  const file = join(folder, `out-${count++}`);
  const running = await startJob('/bin/sh', { ...job, args: ['-c', script] }, file);
  return { ...running, said: () => fs.readFileSync(file, 'utf8') };
}

const numbers = (text: string): number[] => text.split('\n').filter(Boolean).map(Number);

test('P9 what a job leaves running is ended with it: in its group, in sessions of its own, orphaned', async () => {
  const { status, survivors, output } = await runScript(`
    sleep 1000 & echo $!
    setsid sh -c 'echo $$; exec sleep 1000' &
    (setsid sh -c 'sleep 1000 & echo $!; echo $$; wait' &)
    while [ "$(wc -l </proc/$$/fd/1)" -lt 4 ]; do sleep 0.01; done`);
  const pids = numbers(output.toString());
  expect(pids).toHaveLength(4);
  expect({ status, survivors, running: pids.filter(isRunning) }).toEqual({
    status: 0,
    survivors: 4,
    running: [],
  });
});

test('what a job leaves running may go on until all is over', async () => {
  const { survivors, output } = await runScript('(setsid sleep 1000 & echo $!)', { isSurvivable: true });
  const [pid = 0] = numbers(output.toString());
  expect({ survivors, isRunning: isRunning(pid) }).toEqual({ survivors: 1, isRunning: true });
  // Another job's end is no reason to end it.
  await runScript('true', { isSurvivable: true });
  expect(isRunning(pid)).toBe(true);
  expect(await endSurvivors()).toBe(1);
  expect(isRunning(pid)).toBe(false);
  expect(await endSurvivors()).toBe(0);
});

test('P8 SIGTERM reaches the group and what escaped it', async () => {
  const job = await start(`
    trap 'echo main; wait; exit 9' TERM
    sh -c 'trap "echo group; exit" TERM; echo up; while :; do sleep 0.05; done' &
    setsid sh -c 'trap "echo escaped; exit" TERM; echo up; while :; do sleep 0.05; done' &
    wait`);
  await until(() => job.said() === 'up\nup\n');
  job.signal('SIGTERM');
  expect((await job.ended).status).toBe(9 << 8);
  // Shells say of their sleeps that those were terminated.
  const said = job
    .said()
    .split('\n')
    .filter((line) => /^[a-z]/.test(line));
  expect(said.sort()).toEqual(['escaped', 'group', 'main', 'up', 'up']);
});

test('P8 a job that ignores SIGTERM ends by SIGKILL, and everything with it', async () => {
  const job = await start(`
    trap '' TERM HUP INT
    echo $$; sleep 1000 & echo $!
    setsid sh -c 'echo $$; sleep 1000' &
    while :; do sleep 1; done`);
  await until(() => numbers(job.said()).length === 3);
  job.signal('SIGTERM');
  expect(numbers(job.said()).every(isRunning)).toBe(true);
  job.signal('SIGKILL');
  expect((await job.ended).status).toBe(9);
  expect(numbers(job.said()).filter(isRunning)).toEqual([]);
});

test.each([
  ['in its group', ''],
  ['each in a session of its own', 'setsid '],
])(
  'P9 a bomb of 200 processes %s that ignore SIGTERM and fork on is gone after SIGKILL',
  async (_, around) => {
    const marker = join(folder, `bomb-${count++}`);
    const bomb = join(folder, 'bomb.sh');
    // Each starts two, to a depth of eight, and then starts and loses children for ever.
    fs.writeFileSync(
      bomb,
      `trap '' TERM
    [ "$1" -gt 0 ] && for side in a b; do ${around}/bin/sh "$0" $(($1 - 1)) "$2" & done
    echo $$ >>"$2"
    while :; do ${around}sleep 0.2; done`,
    );
    fs.writeFileSync(marker, '');
    const job = await start(`exec /bin/sh ${bomb} 7 ${marker}`);
    const all = () => numbers(fs.readFileSync(marker, 'utf8'));
    await until(() => all().length >= 200);
    job.signal('SIGTERM');
    job.signal('SIGKILL');
    expect((await job.ended).status).toBe(9);
    expect(all().filter(isRunning)).toEqual([]);
  },
);

test('a job that stops itself is told of, and wakes up to end by SIGTERM', async () => {
  let stopped: (signal: number) => void = () => undefined;
  const stop = new Promise<number>((resolve) => {
    stopped = resolve;
  });
  const job = await start('kill -STOP $$', { onStop: (signal) => stopped(signal) });
  expect(await stop).toBe(19);
  job.signal('SIGTERM');
  expect((await job.ended).status).toBe(15);
});

test('a job that closes its descriptors ends like every other', async () => {
  expect((await runScript('exec 0<&- 1>&- 2>&-; exit 4')).status).toBe(4 << 8);
});

test('a signal after the end does nothing, and a second one neither', async () => {
  const job = await start('exit 0');
  await job.ended;
  job.signal('SIGKILL');
  job.signal('SIGKILL');
});

test('children that node started itself are none of a job', async () => {
  // From the first job on, what is a child of this process may be an orphan.
  await runScript('true');
  const { spawn } = await import('node:child_process');
  const child = spawn('/bin/sh', ['-c', 'read line; exit 5'], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const { survivors } = await runScript('(setsid sleep 1000 &)');
  expect({ survivors, isRunning: isRunning(child.pid ?? 0) }).toEqual({ survivors: 1, isRunning: true });
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([5, null]);
});

test('jobs run side by side, each with an end of its own', async () => {
  const runs = await Promise.all(
    [0, 1, 2, 3, 4, 5].map((n) => runScript(`(setsid sleep 1000 &); exit ${n}`)),
  );
  expect(runs.map(({ status }) => status >> 8)).toEqual([0, 1, 2, 3, 4, 5]);
});
