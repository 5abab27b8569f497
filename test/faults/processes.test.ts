import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  afterwards,
  digestAt,
  leftBehind,
  MIB,
  OPTIONS,
  runAll,
  scratch,
  sha256,
  transferOf,
  watchFile,
} from './scene.ts';

const WRITER = fileURLToPath(new URL('writer.mjs', import.meta.url));
const BRIDLE = fileURLToPath(new URL('../../bin/bridle', import.meta.url));
const ROUNDS = 50;

interface Job {
  readonly source: string;
  readonly destination: string;
  readonly checksums: readonly string[];
}

async function startWriter(): Promise<(job: Job) => Promise<{ status: string; message?: string }>> {
  const child: ChildProcess = fork(WRITER, { stdio: 'inherit', execArgv: [] });
  afterwards(() => void child.kill('SIGKILL'));
  await once(child, 'message');
  return async (job) => {
    child.send(job);
    const [answer] = await once(child, 'message');
    return answer;
  };
}

function twoSources(size: number) {
  const directory = scratch();
  const sources = [1, 2].map((fill) => {
    const path = join(directory, `source-${fill}`);
    fs.writeFileSync(path, Buffer.alloc(size, fill));
    return path;
  });
  const target = join(directory, 'shared');
  fs.mkdirSync(target);
  return { directory, sources, target, destination: join(target, 'file') };
}

describe.each([
  ['copied', 1000, []],
  ['streamed', 1000, ['sha256' as const]],
  ['copied', 9 * MIB, []],
  ['streamed', 9 * MIB, ['sha256' as const]],
])('L13 two writers of one destination, %s, %d bytes', (_, size, checksums) => {
  const rounds = size > MIB ? ROUNDS / 5 : ROUNDS;

  test('L13 two processes: the result is one of the two, nothing is left', async () => {
    const { directory, sources, target, destination } = twoSources(size);
    const contents = sources.map(digestAt);
    const writers = [await startWriter(), await startWriter()];
    for (let round = 0; round < rounds; round += 1) {
      fs.rmSync(destination, { force: true });
      const ends = await Promise.all(
        writers.map((write, index) => write({ source: sources[index] ?? '', destination, checksums })),
      );
      expect(ends).toEqual([{ status: 'done' }, { status: 'done' }]);
      expect(contents).toContain(digestAt(destination));
      expect(fs.readdirSync(target)).toEqual(['file']);
    }
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L13 two runs in one process: the result is one of the two, nothing is left', async () => {
    const { directory, sources, destination } = twoSources(size);
    const contents = sources.map(digestAt);
    const watch = watchFile(destination);
    for (let round = 0; round < rounds; round += 1) {
      const runs = sources.map((source) =>
        runAll([transferOf(source, destination)], { options: { checksums } }),
      );
      for (const { outcome } of await Promise.all(runs)) expect(outcome.failure).toBeUndefined();
      expect(contents).toContain(digestAt(destination));
    }
    for (const state of watch.seen) expect([...contents, 'absent']).toContain(state);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L13 two items of one run: the result is one of the two, nothing is left', async () => {
    const { directory, sources, destination } = twoSources(size);
    const contents = sources.map(digestAt);
    for (let round = 0; round < rounds; round += 1) {
      const requests = sources.map((source, index) => ({ ...transferOf(source, destination), index }));
      const { summary } = await runAll(requests, { options: { ...OPTIONS, checksums } });
      expect(summary.done).toBe(2);
      expect(contents).toContain(digestAt(destination));
    }
    expect(leftBehind(directory)).toEqual([]);
  });
});

test('L13 many directories in one process do not take each other’s folders away', async () => {
  const directory = scratch();
  const from = join(directory, 'from');
  fs.writeFileSync(from, 'content');
  const requests = Array.from({ length: 3000 }, (_, index) => ({
    ...transferOf(from, join(directory, `d${index % 1200}`, `${index}`)),
    index,
  }));
  const { summary, outcomes } = await runAll(requests, { options: { threads: 32, attempts: 1 } });
  expect(outcomes.find(({ failure }) => failure)?.failure?.message).toBeUndefined();
  expect(summary.done).toBe(3000);
  expect(leftBehind(directory)).toEqual([]);
});

test('L9 200 files with 64 descriptors: no more run at a time than can have them', async () => {
  const directory = scratch();
  const entries = Array.from({ length: 200 }, (_, index) => {
    const path = join(directory, `from-${index}`);
    fs.writeFileSync(path, Buffer.alloc(300_000, index));
    const at = (name: string) => [{ site_label: 'local', url: `file://${join(directory, name)}` }];
    return {
      type: 'transfer',
      src_urls: at(`from-${index}`),
      dest_urls: at(`to/${index}`),
      checksum: { sha256: sha256(Buffer.alloc(300_000, index)) },
    };
  });
  const list = join(directory, 'list.json');
  fs.writeFileSync(list, JSON.stringify(entries));
  const report = join(directory, 'report.json');
  const line = 'ulimit -n 64; exec "$0" transfer --file "$1" --report "$2" --threads 64 --quiet';
  const child = spawn('/bin/sh', ['-c', line, BRIDLE, list, report], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (said += text));
  const [status] = await once(child, 'exit');
  expect(`${said}exit ${status}`).toContain('exit 0');
  expect(JSON.parse(fs.readFileSync(report, 'utf8')).summary).toMatchObject({ transfers: 200, retried: 0 });
  expect(fs.readdirSync(join(directory, 'to'))).toHaveLength(200);
  expect(leftBehind(directory)).toEqual([]);
});
