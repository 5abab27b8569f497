import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { processStat } from '../../src/job/proc.ts';
import { isRunning, newFolder, until } from './jobs.ts';
import { having, wrapIn } from './wrapped.ts';

let folder: string;

beforeAll(() => {
  folder = newFolder();
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

let count = 0;

/** Starts a wrapper whose jobs, and nothing else, have the returned entry in their environment. */
function marked(mode: 'koffi' | 'node', script: string) {
  const mark = `MARK=${folder}/${count++}`;
  return { mark, ...wrapIn(folder)(mode, ['/bin/sh', '-c', script], { ...process.env, ADD: mark }) };
}

const numbers = (text: string): number[] => text.split('\n').filter(Boolean).map(Number);

describe.each(['koffi', 'node'] as const)('when a wrapper that starts jobs by %s is killed', (mode) => {
  test('P9 what has left the session ends, whatever it waited for', async () => {
    const escapes = 'setsid sh -c \'echo $$; trap "" HUP TERM; while :; do sleep 1000; done\' &';
    const { wrapper, said } = marked(mode, `${escapes.repeat(10)} wait`);
    await until(() => numbers(said()).length === 10);
    wrapper.kill('SIGKILL');
    await until(() => numbers(said()).filter(isRunning).length === 0);
  });

  test('P9 a daemon ends, whose parents are gone', async () => {
    const { wrapper, said, mark } = marked(
      mode,
      `setsid sh -c "setsid sh -c 'cd /; echo \\$\\$; exec sleep 1000' & exit" & sleep 1000`,
    );
    await until(() => numbers(said()).length === 1);
    const [daemon = 0] = numbers(said());
    await until(() => processStat(daemon)?.name === 'sleep' && isOrphan(daemon, wrapper.pid ?? 0));
    wrapper.kill('SIGKILL');
    await until(() => !isRunning(daemon) && having(mark).length === 0);
  });

  test('P9 what forks all the time ends', async () => {
    const { wrapper, said, mark } = marked(
      mode,
      'i=0; while [ $i -lt 200 ]; do setsid sh -c "while sleep 0.1; do :; done" & i=$((i+1)); done; echo 1; wait',
    );
    await until(() => said() !== '');
    wrapper.kill('SIGKILL');
    await until(() => having(mark).length === 0);
    expect(having(mark)).toEqual([]);
  });

  test('P9 at any moment of its start, no process is left', async () => {
    for (let moment = 0; moment < 12; moment++) {
      const { wrapper, mark, said } = marked(mode, 'echo 1; setsid sleep 1000 & sleep 1000');
      const ended = once(wrapper, 'exit');
      // From the first process with the mark on, the launcher's own start aside.
      await until(() => having(mark).length > 0 || said() !== '');
      for (let turn = 0; turn < moment; turn++) await new Promise((resolve) => setImmediate(resolve));
      wrapper.kill('SIGKILL');
      await ended;
      await until(() => having(mark).length === 0);
    }
  });
});

test('P9 a daemon ends that has cleaned its environment, once its parents are gone for a moment', async () => {
  const pidFile = join(folder, 'clean');
  const { wrapper, said } = marked(
    'koffi',
    `while [ ! -e ${pidFile} ]; do sleep 0.01; done
     setsid env -i sh -c "setsid sh -c 'cd /; echo \\$\\$; exec sleep 1000' & exit" & sleep 1000`,
  );
  const guard = await watchdogOf(wrapper.pid ?? 0);
  await until(() => readsOf(guard) > 0);
  fs.writeFileSync(pidFile, '');
  await until(() => numbers(said()).length === 1);
  const [daemon = 0] = numbers(said());
  await until(() => isOrphan(daemon, wrapper.pid ?? 0));
  const before = readsOf(guard);
  await until(() => readsOf(guard) > before);
  wrapper.kill('SIGKILL');
  await until(() => !isRunning(daemon));
  expect(having('KICKSTART_NEVER_SET=')).toEqual([]);
});

/** Whether its parent is the wrapper that adopted it, or who adopts in its place. */
function isOrphan(pid: number, wrapper: number): boolean {
  const parent = processStat(pid)?.parent ?? 0;
  return parent === wrapper || parent === 1;
}

async function watchdogOf(wrapper: number): Promise<number> {
  let found: number | undefined;
  await until(() => {
    found = childrenOf(wrapper).find((pid) => {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('while read -r');
    });
    return found !== undefined;
  });
  return found ?? 0;
}

const childrenOf = (pid: number): number[] =>
  fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);

/** Bytes that a process has read: more of them once it was told something. */
const readsOf = (pid: number): number =>
  Number(/^rchar: (\d+)/m.exec(fs.readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1]);
