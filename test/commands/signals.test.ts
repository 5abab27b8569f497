import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, ended, entry, scratch, start, untilSent } from './run-command.ts';

const SIZE = 64 * 1024 * 1024;
let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** Starts a slow transfer, with its list on standard input, and resolves once bytes of it have come. */
async function startSlow(program: 'bridle' | 'pegasus-transfer', cwd: string) {
  server = await startMisbehaving({ content: { size: SIZE }, rate: 24 * 1024 * 1024 });
  const running = server;
  const args = program === 'bridle' ? ['transfer', '--report', 'report.json'] : [];
  const child = start(args, { cwd, program });
  const end = ended(child);
  child.stdin?.end(JSON.stringify([entry(running.url, `file://${cwd}/big`)]));
  await untilSent(running, 20 * 1024 * 1024, end);
  return { child, end };
}

describe('a signal', () => {
  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('L11 P8 %s ends the run, is told, and leaves what can be resumed', async (signal, expected) => {
    const cwd = scratch();
    const { child, end } = await startSlow('bridle', cwd);
    child.kill(signal);
    const { status, stderr } = await end;
    expect(status).toBe(expected);
    expect(stderr).toContain('1 canceled');
    expect(existsSync(join(cwd, 'big'))).toBe(false);
    const report = JSON.parse(readFileSync(join(cwd, 'report.json'), 'utf8'));
    expect(report.outcomes).toMatchObject([{ status: 'canceled' }]);
    const again = await bridle(['transfer'], {
      cwd,
      input: JSON.stringify([entry(server?.url ?? '', `file://${cwd}/big`)]),
    });
    expect(again).toMatchObject({ status: 0 });
    expect(again.stderr).toContain('1 resumed');
    expect(readdirSync(cwd).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('L11 the drop-in exits with 1 on SIGINT, and says why', async () => {
    const { child, end } = await startSlow('pegasus-transfer', scratch());
    child.kill('SIGINT');
    const { status, stderr } = await end;
    expect(status).toBe(1);
    expect(stderr).toContain('WARNING:  Exiting due to signal 2');
    expect(stderr).toContain('Some transfers failed!');
  });

  test('L11 the drop-in exits with 143 on SIGTERM', async () => {
    const { child, end } = await startSlow('pegasus-transfer', scratch());
    child.kill('SIGTERM');
    expect((await end).status).toBe(143);
  });

  test('L11 the drop-in ends although its list does not', async () => {
    const child = start([], { cwd: scratch(), program: 'pegasus-transfer' });
    const end = ended(child);
    await new Promise((resolve) => child.stderr?.once('data', resolve));
    child.kill('SIGINT');
    expect(await end).toMatchObject({ status: 1 });
  });

  test('P8 a read that nobody answers does not outlive it', async () => {
    const cwd = scratch();
    const child = start(['cp', '-', 'a', '--events', '-'], { cwd });
    const end = ended(child);
    await new Promise<void>((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        if (chunk.toString().includes('item-started')) resolve();
      });
    });
    child.kill('SIGTERM');
    expect(['SIGTERM', 143]).toContain((await end).status);
    expect(existsSync(join(cwd, 'a'))).toBe(false);
  });
});

describe('L11 a reader that leaves', () => {
  test.each([
    ['cat', ['cat']],
    ['cp to standard output', ['cp']],
  ])('%s ends without a word', async (_, [command = '']) => {
    server = await startMisbehaving({ content: { size: SIZE } });
    const child = start([command, server.url, ...(command === 'cp' ? ['-'] : [])], { cwd: scratch() });
    const end = ended(child);
    child.stdout?.once('data', () => child.stdout?.destroy());
    expect(await end).toMatchObject({ status: 141, stderr: '' });
  });

  test('ls ends without a word', async () => {
    const child = start(['ls', '-r', '/usr'], { cwd: scratch() });
    const end = ended(child);
    child.stdout?.once('data', () => child.stdout?.destroy());
    const { status, stderr } = await end;
    expect(stderr).toBe('');
    expect([0, 141]).toContain(status);
  });

  test('a run goes on when nobody reads what is said about it', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: SIZE }, rate: 64 * 1024 * 1024 });
    const child = start(['transfer', '--debug'], { cwd });
    child.stderr?.destroy();
    const end = ended(child);
    child.stdin?.end(JSON.stringify([entry(server.url, `file://${cwd}/big`), entry('/nope', `${cwd}/b`)]));
    expect((await end).status).toBe(1);
    expect(existsSync(join(cwd, 'big'))).toBe(true);
  });
});
