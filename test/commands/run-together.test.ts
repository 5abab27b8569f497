import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { until } from '../job/jobs.ts';
import { bridle, ended, scratch, start } from './run-command.ts';

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** A directory for a test, with `out` in it, and what runs a job there. */
function place() {
  const cwd = scratch();
  for (const name of ['wn', 'out']) mkdirSync(join(cwd, name));
  const options = { cwd, env: { PEGASUS_WN_TMP: join(cwd, 'wn'), PEGASUS_WN_TMP_MIN_SPACE: '1' } };
  const words = (args: readonly string[], script: string) =>
    ['run', '-q', '--atomic-outputs', 'out/done.json', ...args, '--', '/bin/sh', '-c', script] as const;
  return {
    cwd,
    here: (name: string) => join(cwd, name),
    run: (args: readonly string[], script: string) => bridle(words(args, script), options),
    start: (args: readonly string[], script: string) => start(words(args, script), options),
    /** What readers see. */
    seen: () => readdirSync(join(cwd, 'out')).filter((name) => !name.startsWith('.')),
  };
}

const outputs = (...names: readonly string[]) => names.flatMap((name) => ['-o', `${name}=out/${name}`]);

describe('bridle run --atomic-outputs', () => {
  test('stores more outputs than it has threads, then a manifest that verifies them', async () => {
    const { cwd, run, seen } = place();
    const args = [...outputs('a', 'b', 'c', 'd'), '-o', 'sub/e=out/sub/e', '-n', '1', '--memory', '8M'];
    const big = 'head -c 9000000 /dev/zero';
    const { status, stderr } = await run(
      args,
      `mkdir sub; for f in a b c; do ${big} >$f; done; >d; echo 5 >sub/e`,
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(seen().sort()).toEqual(['a', 'b', 'c', 'd', 'done.json', 'sub']);
    expect(await bridle(['verify', 'out/done.json'], { cwd })).toMatchObject({ status: 0 });
    const { files } = JSON.parse(readFileSync(join(cwd, 'out/done.json'), 'utf8'));
    expect(files.map(({ name }: { name: string }) => name)).toEqual(['a', 'b', 'c', 'd', 'sub/e']);
  });

  test('when one output does not arrive, none appears, and the old manifest stays with what it names', async () => {
    const { here, cwd, run, seen } = place();
    expect(await run(outputs('a', 'b'), 'echo 1 >a; echo 1 >b')).toMatchObject({ status: 0 });
    writeFileSync(here('file'), '');
    const args = [...outputs('a', 'b', 'new'), '-o', 'lost=file/lost', '-n', '8'];
    const { status, stderr } = await run(args, 'for f in a b new lost; do echo 2 >$f; done');
    expect(status).toBe(74);
    expect(stderr).toContain('did not arrive: output');
    expect(seen().sort()).toEqual(['a', 'b', 'done.json']);
    expect(await bridle(['verify', 'out/done.json'], { cwd })).toMatchObject({ status: 0 });
    expect(readFileSync(here('out/a'), 'utf8')).toBe('1\n');
  });

  test('nothing is visible while one output is still on its way', async () => {
    const { cwd, run, start, seen } = place();
    // A server that answers no request: what goes there never arrives.
    server = await startMisbehaving({ script: 'F27' });
    const running = server;
    const child = start(
      [...outputs('a', 'b'), '-o', `c=${running.url.replace('http:', 'dav:')}`],
      'for f in a b c; do echo 1 >$f; done',
    );
    const end = ended(child);
    await until(() => running.requests.length > 0);
    const partials = () =>
      readdirSync(join(cwd, 'out'), { recursive: true }).filter((name) => String(name).endsWith('.part'));
    await until(() => partials().length === 2);
    expect(seen()).toEqual([]);
    child.kill('SIGTERM');
    expect(await end).toMatchObject({ status: 143 });
    expect(seen()).toEqual([]);
    expect(partials()).toEqual([]);
    expect(await run(outputs('a', 'b'), 'echo 1 >a; echo 1 >b')).toMatchObject({ status: 0 });
    expect(seen().sort()).toEqual(['a', 'b', 'done.json']);
  });

  test('the old manifest is gone before the first output is replaced, and stays away when one cannot be', async () => {
    const { here, run, seen } = place();
    expect(await run(outputs('a', 'b'), 'echo 1 >a; echo 1 >b')).toMatchObject({ status: 0 });
    // It takes all that is sent, and refuses what would make it visible.
    server = await startMisbehaving({ script: 'F23' });
    const args = [...outputs('a'), '-o', `b=${server.url}`, '-m', '1'];
    const { status, stderr } = await run(args, 'echo 2 >a; echo 2 >b');
    expect(stderr).toContain('did not arrive: output `b`');
    expect(status).toBe(74);
    expect(readFileSync(here('out/a'), 'utf8')).toBe('2\n');
    expect(seen().sort()).toEqual(['a', 'b']);
  });

  test('P1 a kill at any moment leaves a manifest only beside outputs that are as it says', async () => {
    const { cwd, here, start, seen } = place();
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (let moment = 0; moment < 12; moment++) {
      const content = randomBytes(8).toString('hex');
      const made = here(`made-${moment}`);
      const child = start(
        outputs(...names),
        `for f in ${names.join(' ')}; do echo ${content} >$f; done; >${made}`,
      );
      const end = ended(child);
      await until(() => existsSync(made));
      const last = performance.now() + moment * 8;
      await until(() => performance.now() > last || child.exitCode !== null);
      child.kill('SIGKILL');
      await end;
      if (!seen().includes('done.json')) continue;
      const verified = await bridle(['verify', 'out/done.json'], { cwd });
      expect(verified).toMatchObject({ status: 0 });
      expect(new Set(names.map((name) => readFileSync(here(`out/${name}`), 'utf8'))).size).toBe(1);
    }
  });

  test('a job that failed stores nothing but checkpoints, and touches no manifest', async () => {
    const { run, seen } = place();
    expect(await run(outputs('a'), 'echo 1 >a')).toMatchObject({ status: 0 });
    expect(await run(outputs('b'), 'echo 1 >b; exit 3')).toMatchObject({ status: 3 });
    expect(seen().sort()).toEqual(['a', 'done.json']);
  });

  test('what cannot be held back is refused before anything starts', async () => {
    const { run, here } = place();
    const refused = async (args: readonly string[], why: string) => {
      const { status, stderr } = await run(args, `echo 1 >${here('ran')}`);
      expect(stderr).toContain(why);
      expect(status).toBe(2);
      expect(existsSync(here('ran'))).toBe(false);
    };
    await refused(['-o', 'a=moveto:///tmp/a'], '--atomic-outputs: expected places that files are stored at');
    await refused(['-o', 'a=out/x', '-o', 'b=out/x'], 'expected a place for each');
    await refused(['-o', 'a=out/done.json'], 'expected a place for each');
    const many = Array.from({ length: 129 }, (_, at) => `f${at}`);
    await refused(outputs(...many), '--atomic-outputs: expected at most 128 outputs, got 129');
  });

  test('as many outputs as may be come through with one thread', async () => {
    const { run, seen } = place();
    const many = Array.from({ length: 128 }, (_, at) => `f${at}`);
    const { status } = await run(
      [...outputs(...many), '-n', '1'],
      'i=0; while [ $i -lt 128 ]; do echo $i >f$i; i=$((i+1)); done',
    );
    expect(status).toBe(0);
    expect(seen()).toHaveLength(129);
  });
});
