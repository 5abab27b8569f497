import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kickstart, leftIn, readRecord, wrap } from '../commands/kickstart.ts';
import { scratch } from '../commands/run-command.ts';
import { afterwards } from '../faults/scene.ts';
import { isRunning } from '../job/jobs.ts';

/** A file system in memory of its own. Needs root. */
function mountTmpfs(size: string): string {
  if (process.getuid?.() !== 0) throw new Error('mounting a small tmpfs needs root');
  const directory = scratch();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0777`, 'bridle-test', directory]);
  afterwards(() => execFileSync('umount', ['-l', directory]));
  return directory;
}

const read = (...path: string[]) => fs.readFileSync(join(...path), 'utf8');
const shell = (text: string): string[] => ['/bin/sh', '-c', text];

/** The process ids that a job wrote to a file. */
const pidsIn = (...path: string[]): number[] =>
  read(...path)
    .trim()
    .split(/\s+/)
    .map(Number);

describe('L1 a disk that is full', () => {
  test('for the record: the record is on standard error, and the file is as it was', async () => {
    const cwd = scratch();
    const disk = mountTmpfs('64k');
    fs.writeFileSync(join(disk, 'log'), 'before\n');
    fs.writeFileSync(join(disk, 'ballast'), Buffer.alloc(52 * 1024));
    const { status, stderr } = await wrap(
      ['-f', '-l', join(disk, 'log'), ...shell('head -c 30000 /dev/zero | tr "\\\\0" x')],
      { cwd },
    );
    expect(status).toBe(1);
    expect(read(disk, 'log')).toBe('before\n');
    const at = stderr.indexOf('writing the record to');
    expect(readRecord(stderr.slice(0, at)).files.stdout.size).toBe(30_000);
    expect(stderr.slice(at)).toMatch(/no space left on device/);
  });

  test('for captured output: the job is told, and the record shows what fitted', async () => {
    const disk = mountTmpfs('256k');
    const { status, record } = await kickstart(
      shell('head -c 1000000 /dev/zero | tr "\\\\0" x || exit 5; exec 2>/dev/null; echo more >&1'),
      {
        cwd: scratch(),
        env: { KICKSTART_TMP: disk },
      },
    );
    expect(status).not.toBe(0);
    expect(record.files.stdout.size).toBeLessThanOrEqual(256 * 1024);
    expect(record.files.stdout.data).toMatch(/^x+\n$/);
    expect(leftIn(disk)).toEqual([]);
  });
});

describe('a job that misbehaves', () => {
  test('P9 forks 200: none of them is left', async () => {
    const cwd = scratch();
    const { status, record } = await kickstart(
      shell('for i in `seq 200`; do sleep 600 & echo \\$!; done >pids'),
      { cwd },
    );
    expect(status).toBe(0);
    const pids = pidsIn(cwd, 'pids');
    expect(pids).toHaveLength(200);
    expect(pids.filter(isRunning)).toEqual([]);
    expect(record.mainjob.survivors).toBe(200);
  });

  test('P9 daemonises: the daemon ends with the wrapper, at its session or not', async () => {
    const cwd = scratch();
    const { status } = await kickstart(
      shell(
        'setsid sh -c "echo \\$\\$ >pid; exec sleep 600" </dev/null >/dev/null 2>&1 & while [ ! -s pid ]; do sleep 0.02; done',
      ),
      { cwd },
    );
    expect(status).toBe(0);
    expect(pidsIn(cwd, 'pid').filter(isRunning)).toEqual([]);
  });

  test('leaves a service in its prejob: the main job finds it, and the end does not', async () => {
    const cwd = scratch();
    const { status, record } = await kickstart(shell('kill -0 `cat pid` && echo alive'), {
      cwd,
      env: { KICKSTART_PREJOB: "/bin/sh -c 'sleep 600 & echo \\$! >pid'" },
    });
    expect(status).toBe(0);
    expect(record.files.stdout.data).toBe('alive\n');
    expect(pidsIn(cwd, 'pid').filter(isRunning)).toEqual([]);
  });

  test('closes its descriptors: its status counts', async () => {
    const { status, record } = await kickstart(shell('exec <&- >&- 2>&-; sleep 0.1; exit 4'), {
      cwd: scratch(),
    });
    expect(status).toBe(4);
    expect(record.mainjob.status.regular_exitcode).toBe(4);
  });

  test('P8 stops itself: it is ended when its time is over', async () => {
    const { status, record } = await kickstart(['-k', '1', '-K', '1', ...shell('kill -STOP \\$\\$')], {
      cwd: scratch(),
    });
    expect(status).toBe(14);
    expect([15, 9]).toContain(record.mainjob.status.signalled_signal);
  });

  test('P8 ignores TERM, with a grandchild that does: nothing is left', async () => {
    const cwd = scratch();
    const command =
      "trap '' TERM; (trap '' TERM; setsid sleep 600 & echo \\$! >pid; wait) & echo \\$! >>pid; wait";
    const { status } = await kickstart(['-k', '1', '-K', '1', ...shell(command)], { cwd });
    expect(status).toBe(14);
    expect(pidsIn(cwd, 'pid').filter(isRunning)).toEqual([]);
  });

  test('is killed for want of memory: 137, and the record says by which signal', async () => {
    const group = '/sys/fs/cgroup/memory/bridle-kickstart-test';
    if (!fs.existsSync('/sys/fs/cgroup/memory'))
      throw new Error('this test needs the memory controller of cgroup v1, as root');
    fs.mkdirSync(group);
    try {
      fs.writeFileSync(`${group}/memory.limit_in_bytes`, String(32 * 1024 * 1024));
      const { status, record } = await kickstart(
        shell(`echo \\$\\$ >${group}/cgroup.procs; exec tail /dev/zero`),
        { cwd: scratch() },
      );
      expect(status).toBe(137);
      expect(record.mainjob.status).toMatchObject({ raw: 9, signalled_signal: 9, signalled_name: 'Killed' });
    } finally {
      fs.rmdirSync(group);
    }
  });

  test('sees a clock that steps: durations are those of a clock that does not', async () => {
    const cwd = scratch();
    const step = join(cwd, 'step.cjs');
    fs.writeFileSync(
      step,
      'const { now } = Date; const began = now(); const later = () => now() + (now() > began + 150 ? -86400000 : 0);' +
        'Date.now = later; globalThis.Date = class extends Date { constructor(...a) { super(...(a.length ? a : [later()])); } static now() { return later(); } };',
    );
    const { record } = await kickstart(shell('unset NODE_OPTIONS; sleep 0.4'), {
      cwd,
      env: { NODE_OPTIONS: `--require=${step}` },
    });
    for (const seconds of [record.duration, record.mainjob.duration]) {
      expect(seconds).toBeGreaterThanOrEqual(0.4);
      expect(seconds).toBeLessThan(60);
    }
  });
});

/** Directories in which wrappers run side by side. */
const RUNNERS = ['r0', 'r1', 'r2', 'r3'];

describe('the wrapper', () => {
  test('P9 killed with SIGKILL takes its job along', async () => {
    const cwd = scratch();
    await wrap(shell('sleep 600 & echo \\$\\$ \\$! >pid; mv pid pids; wait'), {
      cwd,
      async during(pid) {
        await expect.poll(() => fs.existsSync(join(cwd, 'pids')), { timeout: 60_000 }).toBe(true);
        process.kill(pid, 'SIGKILL');
      },
    });
    const pids = pidsIn(cwd, 'pids');
    await expect.poll(() => pids.filter(isRunning), { timeout: 30_000 }).toEqual([]);
  });

  test('leaves no file, process or descriptor after 100 runs with two outputs each', async () => {
    const cwd = scratch();
    const ofUs = () =>
      fs.readdirSync('/proc').filter((name) => {
        try {
          return /^\d+$/.test(name) && fs.readlinkSync(`/proc/${name}/cwd`).startsWith(cwd);
        } catch {
          return false;
        }
      });
    const job = shell('sleep 600 & ls /proc/self/fd; echo a >a; echo b >b');
    let descriptors = '';
    for (const name of RUNNERS) fs.mkdirSync(join(cwd, name));
    for (let at = 0; at < 25; at++) {
      const runs = await Promise.all(
        RUNNERS.map((name) => kickstart(['-s', 'a', '-s', 'b', '-H', ...job], { cwd: join(cwd, name) })),
      );
      for (const { status, record } of runs) {
        expect(status).toBe(0);
        descriptors = record.files.stdout.data;
      }
    }
    // Those of `ls` itself.
    expect(descriptors).toBe('0\n1\n2\n3\n');
    for (const name of RUNNERS) expect(fs.readdirSync(join(cwd, name)).sort()).toEqual(['a', 'b']);
    await expect.poll(ofUs, { timeout: 30_000 }).toEqual([]);
  });

  test('shows the end of 4 GiB, within little memory', async () => {
    const cwd = fs.mkdtempSync('/dev/shm/bridle-kickstart-');
    try {
      const { record } = await kickstart(shell('head -c 4300000000 /dev/zero; printf "the end"'), { cwd });
      expect(record.files.stdout.size).toBe(4_300_000_007);
      expect(record.files.stdout.data_truncated).toBe(true);
      expect(record.files.stdout.data.trimEnd()).toBe('the end');
      expect(record.usage.maxrss).toBeLessThan(100 * 1024);
    } finally {
      fs.rmSync(cwd, { recursive: true });
    }
  });

  test('records 6,000 inputs and outputs, each right', async () => {
    const cwd = scratch();
    const names = Array.from({ length: 3000 }, (_, at) => `file-${at}`);
    for (const name of names) fs.writeFileSync(join(cwd, name), name);
    fs.writeFileSync(join(cwd, 'in'), names.map((name) => `in.${name}=${name}\n`).join(''));
    fs.writeFileSync(join(cwd, 'out'), names.map((name) => `out.${name}=${name}\n`).join(''));
    const { status, record } = await kickstart(['-S', '@in', '-s', '@out', '/bin/true'], { cwd });
    expect(status).toBe(0);
    expect(Object.keys(record.files)).toHaveLength(6004);
    expect(record.files['out.file-2999']).toMatchObject({ size: 9, output: true });
  });
});
