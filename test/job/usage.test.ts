import { expect, test } from 'vitest';
import { selfUsage } from '../../src/job/usage.ts';
import { runJob, runScript } from './jobs.ts';

const MIB = 1024;

/** A node that makes `size` MiB resident, and what one that makes none of its own has. */
const holding = (size: number) => ({ args: ['-e', `Buffer.alloc(${size} << 20, 1)`] });

test('a small program is said to have used its own memory, not that of node', async () => {
  const { usage } = await runJob('/bin/true');
  expect(usage.maxrss).toBeGreaterThan(0);
  expect(usage.maxrss).toBeLessThan(8 * MIB);
  expect(selfUsage().maxrss).toBeGreaterThan(30 * MIB);
});

test('a program whose argv[0] is not its path is started by node itself, and its memory is known from there on', async () => {
  const file = Buffer.from('/bin/sh');
  const small = await runJob('other', { file, args: ['-c', 'exit 3'] });
  expect(small.status).toBe(3 << 8);
  expect(small.maxrssFloor).toBeGreaterThan(30 * MIB);
  expect((await runJob('/bin/true')).maxrssFloor).toBeUndefined();
});

test('the largest of all that a job waited for counts as its memory', async () => {
  const { usage } = await runScript(`${process.execPath} -e 'Buffer.alloc(300 << 20, 1)'; true`);
  expect(usage.maxrss).toBeGreaterThan(300 * MIB);
  expect(usage.maxrss).toBeLessThan(500 * MIB);
});

test('faults and switches are those of the job', async () => {
  const [small, large] = [
    await runJob(process.execPath, holding(0)),
    await runJob(process.execPath, holding(64)),
  ];
  // 64 MiB are 16,384 pages of 4 KiB, unless they are larger.
  expect(large.usage.maxrss - small.usage.maxrss).toBeGreaterThan(60 * MIB);
  expect(large.usage.nvcsw).toBeGreaterThan(0);
  expect(large.usage).toMatchObject({ nswap: 0, msgsnd: 0, msgrcv: 0, nsignals: 0 });
});

test('processor time of the job and of what it waited for is counted, and of nothing else', async () => {
  const spin =
    'const end = process.cpuUsage().user + 2e5; while (process.cpuUsage().user < end) for (let i = 0; i < 1e6; i++);';
  const { usage } = await runScript(
    `${process.execPath} -e '${spin}' & ${process.execPath} -e '${spin}'; wait`,
  );
  expect(usage.utime).toBeGreaterThanOrEqual(0.4);
  expect((await runJob('/bin/true')).usage.utime).toBeLessThan(0.2);
});
