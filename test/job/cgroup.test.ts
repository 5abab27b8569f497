import { createSocket } from 'node:dgram';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startCgroupMeter } from '../../src/job/cgroup.ts';
import { newFolder, until } from './jobs.ts';

let root: string;

beforeEach(() => {
  root = newFolder();
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const MOUNT = '30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';

/** Files as the kernel shows them: for a process in `own` of a hierarchy that is mounted as `mount` says. */
function group(
  own: string,
  files: Readonly<Record<string, string>>,
  mount = MOUNT,
): (name: string) => string {
  put('proc/self/cgroup', `12:memory:/elsewhere\n0::${own}\n`);
  put('proc/self/mountinfo', `22 1 0:20 / /proc rw - proc proc rw\n${mount}`);
  for (const [name, text] of Object.entries(files)) put(join('sys/fs/cgroup', own, name), text);
  return (name) => join(root, 'sys/fs/cgroup', own, name);
}

function put(name: string, text: string): void {
  const path = join(root, name);
  fs.mkdirSync(dirname(path), { recursive: true });
  fs.writeFileSync(path, text);
}

const FILES = {
  'memory.stat': 'anon 4096000\nfile 8192000\nanon_thp 0\n',
  'memory.events': 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n',
  'io.stat': '8:0 rbytes=1000 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n',
};

describe('a control group of version 2', () => {
  test('tells what was used since, over all devices, and the most that was seen without page cache', () => {
    const file = group('/slot 1/job', FILES);
    const meter = startCgroupMeter(root);
    fs.writeFileSync(file('memory.stat'), 'anon 9216000\nfile 1\n');
    meter?.sample();
    fs.writeFileSync(file('memory.stat'), 'anon 1024\nfile 1\n');
    fs.writeFileSync(file('memory.events'), 'oom 4\noom_kill 3\n');
    fs.writeFileSync(
      file('io.stat'),
      '8:0 rbytes=5000 wbytes=20 rios=1 wios=1 dbytes=9 dios=0\n8:16 rbytes=1 wbytes=700 rios=1 wios=1 dbytes=0 dios=0\n',
    );
    expect(meter?.end()).toEqual({ anonymousPeak: 9000, readBytes: 4001, writtenBytes: 700, oomKills: 2 });
  });

  test('tells the peak of memory since it was begun anew, by what is written to the file', () => {
    const file = group('/job', { ...FILES, 'memory.peak': '900000\n' });
    const meter = startCgroupMeter(root);
    expect(fs.readFileSync(file('memory.peak'), 'utf8')).toMatch(/^reset\n/);
    fs.writeFileSync(file('memory.peak'), '512000\n');
    expect(meter?.end()).toMatchObject({ memoryPeak: 500 });
  });

  test('of a peak that cannot be begun anew tells only one that grew', async () => {
    // A number of the kernel's that grows, and that root cannot write to either.
    const counter = '/sys/class/net/lo/statistics/rx_bytes';
    const read = () => Number(fs.readFileSync(counter, 'utf8'));
    const file = group('/job', FILES);
    fs.symlinkSync('/proc/sys/kernel/ngroups_max', file('memory.peak'));
    expect(startCgroupMeter(root)?.end()).not.toHaveProperty('memoryPeak');
    fs.rmSync(file('memory.peak'));
    fs.symlinkSync(counter, file('memory.peak'));
    const meter = startCgroupMeter(root);
    const before = read();
    const socket = createSocket('udp4');
    await new Promise((resolve) => socket.send(Buffer.alloc(2048), 9, '127.0.0.1', resolve));
    socket.close();
    await until(() => read() >= before + 2048);
    expect(meter?.end().memoryPeak).toBeGreaterThanOrEqual(Math.round((before + 2048) / 1024));
  });

  test.each([
    ['without one', '', {}],
    ['in a group that is not seen from here', '/../other', FILES],
    ['where neither memory nor I/O is counted', '/job', { 'cgroup.procs': '1\n' }],
  ])('%s nothing is told', (_, own, files) => {
    if (own !== '') group(own, files);
    expect(startCgroupMeter(root)).toBeUndefined();
  });

  test('a hierarchy that is mounted from below its top is found', () => {
    group('/docker/abc/job', {}, '30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n');
    put('sys/fs/cgroup/job/memory.events', 'oom_kill 0\n');
    expect(startCgroupMeter(root)?.end()).toEqual({ oomKills: 0 });
  });
});
