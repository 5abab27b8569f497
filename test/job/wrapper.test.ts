import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRunning, newFolder, until } from './jobs.ts';
import { having, wrapIn } from './wrapped.ts';

let folder: string;

beforeAll(() => {
  folder = newFolder();
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const wrap: ReturnType<typeof wrapIn> = (...words) => wrapIn(folder)(...words);

const numbers = (text: string): number[] => text.split('\n').filter(Boolean).map(Number);

describe.each(['koffi', 'node'] as const)('started by %s', (mode) => {
  test('P9 what a wrapper that is killed has started ends: the program, its group, what escaped that', async () => {
    const { wrapper, said } = wrap(mode, [
      '/bin/sh',
      '-c',
      `trap '' TERM HUP; echo $$; sleep 1000 & echo $!; setsid sh -c 'echo $$; sleep 1000' & wait; sleep 1000`,
    ]);
    await until(() => numbers(said()).length === 3);
    wrapper.kill('SIGKILL');
    const pids = numbers(said());
    await until(() => pids.filter(isRunning).length === 0);
    expect(pids).toHaveLength(3);
  });

  test('a wrapper that ends leaves nothing', async () => {
    const marker = `LEFT=${folder}/${mode}`;
    const wrapped = wrap(mode, ['/bin/sh', '-c', 'sleep 1000 & exit 3'], {
      ...process.env,
      LEFT: `${folder}/${mode}`,
    });
    expect(await wrapped.result()).toMatchObject({ mode, status: 3 << 8, survivors: 1 });
    expect(having(marker)).toEqual([]);
  });

  test('a program says how it ended, and the record which way it was started', async () => {
    expect(await wrap(mode, ['/bin/sh', '-c', 'exit 5']).result()).toMatchObject({ mode, status: 5 << 8 });
    expect(await wrap(mode, ['/bin/sh', '-c', 'kill -KILL $$']).result()).toMatchObject({ mode, status: 9 });
  });

  test('what cannot be started says why', async () => {
    const script = join(folder, `bare-${mode}`);
    fs.writeFileSync(script, 'echo ran\n', { mode: 0o755 });
    const wrapped = wrap(mode, [script]);
    expect(await wrapped.result()).toEqual({
      mode,
      code: 'unsupported',
      message: `starting \`${script}\`: no program: without a \`#!\` line, and no binary`,
      errno: 8,
      cause: 'ENOEXEC',
    });
    expect(wrapped.said()).toBe('');
    expect(await wrap(mode, ['/no/such/program']).result()).toMatchObject({
      code: 'not-found',
      message: 'starting `/no/such/program`: no such file or directory',
      cause: 'ENOENT',
    });
  });
});

test('the environment that node cannot hold reaches a job of a wrapper of its own', async () => {
  const { result, said } = wrap('koffi', ['/bin/cat', '/proc/self/environ'], {
    'BASH_FUNC_x%%': '() { :; }',
    'A B': 'c',
  });
  expect(await result()).toMatchObject({ status: 0 });
  expect(said()).toContain('BASH_FUNC_x%%=() { :; }\0');
  expect(said()).toContain('A B=c\0');
});

test('without koffi, usage is what the process table tells of children', async () => {
  const spin =
    'const end = process.cpuUsage().user + 3e5; while (process.cpuUsage().user < end) for (let i = 0; i < 1e6; i++);';
  const { usage } = (await wrap('node', [process.execPath, '-e', spin]).result()) as {
    usage: Record<string, number>;
  };
  expect(usage.utime).toBeGreaterThan(0.25);
  expect(usage).toMatchObject({ maxrss: 0, nvcsw: 0 });
});
