import { describe, expect, test } from 'vitest';
import { findProgram } from '../../src/find-program.ts';
import { startProgram } from '../../src/image/program.ts';

const path = process.env.PATH ?? '';
const node = findProgram(['node'], path)?.file ?? process.execPath;
const { signal } = new AbortController();

const run = (script: string, more: { readonly signal?: AbortSignal } = {}) =>
  startProgram(node, ['-e', script], { path, signal, ...more });

describe('a program that works on an image', () => {
  test('has its output read to the end, however late somebody begins', async () => {
    const program = run("process.stdout.write('x'.repeat(5000))");
    expect(await program.ended).toEqual({ status: 0, said: 'ended with status 0' });
    let length = 0;
    for await (const chunk of program.output) length += (chunk as Buffer).length;
    expect(length).toBe(5000);
    await program.stop();
  });

  test('P7 ends when it is stopped, with output that nobody reads', async () => {
    const program = run("const more = () => process.stdout.write('x'.repeat(65536), more); more()");
    for await (const _ of program.output) break;
    await program.stop();
    expect(await program.ended).toEqual({ status: undefined, said: 'ended with SIGKILL' });
    const unread = run("const more = () => process.stdout.write('x'.repeat(65536), more); more()");
    await new Promise((resolve) => unread.output.once('readable', resolve));
    await unread.stop();
    expect(await unread.ended).toMatchObject({ status: undefined });
  });

  test('P8 is killed by the signal, and says why it ended otherwise', async () => {
    const controller = new AbortController();
    const waiting = run('setInterval(() => {}, 1000)', { signal: controller.signal });
    controller.abort();
    expect(await waiting.ended).toEqual({ status: undefined, said: 'ended with SIGKILL' });
    const failing = run("process.stderr.write('first\\nlast\\n'); process.exitCode = 3");
    expect(await failing.ended).toEqual({ status: 3, said: 'first\nlast' });
    const missing = startProgram('/none/such', [], { path, signal });
    expect(await missing.ended).toMatchObject({
      status: undefined,
      said: expect.stringContaining('starting it'),
    });
  });
});
