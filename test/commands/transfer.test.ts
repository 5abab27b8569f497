import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, entry, scratch } from './run-command.ts';

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** Runs `bridle transfer` with the list on standard input. */
function transfer(cwd: string, list: unknown, ...args: string[]) {
  const input = typeof list === 'string' ? list : JSON.stringify(list);
  return bridle(['transfer', ...args], { cwd, input });
}

describe('bridle transfer', () => {
  test('brings what a list on standard input names, and exits with 0', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 3_000_000 } });
    writeFileSync(join(cwd, 'a'), 'a');
    const sha256 = server.content().digest('sha256');
    const list = [
      entry(server.url, `file://${cwd}/out/fetched`, { checksum: { sha256 } }),
      entry(`file://${cwd}/a`, `file://${cwd}/out/copied`),
      entry(`file://${cwd}/a`, `symlink://${cwd}/out/linked`),
      { type: 'mkdir', target: { site_label: 'here', url: `file://${cwd}/made/deep` } },
    ];
    const { status, stdout, stderr } = await transfer(cwd, list);
    expect(stderr).toContain('4 done');
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(
      createHash('sha256')
        .update(readFileSync(join(cwd, 'out/fetched')))
        .digest('hex'),
    ).toBe(sha256);
    expect(readFileSync(join(cwd, 'out/linked'), 'utf8')).toBe('a');
    expect(existsSync(join(cwd, 'made/deep'))).toBe(true);
  });

  test('reads the list from --file as well', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    writeFileSync(join(cwd, 'list'), JSON.stringify([entry(`${cwd}/a`, `${cwd}/b`)]));
    expect(await bridle(['transfer', '--file', 'list'], { cwd })).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'b'), 'utf8')).toBe('a');
  });

  test('L3 P5 one destination that cannot be written stops no other of a thousand', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const list = Array.from({ length: 1000 }, (_, index) =>
      entry(`file://${cwd}/a`, `file://${cwd}/${index === 500 ? 'a/below/a/file' : `out/${index}`}`),
    );
    const { status, stderr } = await transfer(cwd, list);
    expect(status).toBe(1);
    expect(stderr).toContain('999 done, 1 failed');
    expect(stderr).toContain('a/below/a/file');
  });

  test('P5 B2 an unknown scheme is named in its outcome, and the others are done', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const list = [entry('gopher://host/x', `file://${cwd}/x`), entry(`file://${cwd}/a`, `file://${cwd}/b`)];
    const { status, stderr } = await transfer(cwd, list, '--report', 'report.json');
    expect(status).toBe(1);
    expect(stderr).toContain('`gopher` is not a scheme that bridle speaks');
    expect(existsSync(join(cwd, 'b'))).toBe(true);
    const report = JSON.parse(readFileSync(join(cwd, 'report.json'), 'utf8'));
    expect(report.outcomes.map((outcome: { status: string }) => outcome.status).sort()).toEqual([
      'done',
      'unsupported',
    ]);
  });

  test('B1 a malformed entry is named with its field, nothing starts, and the status is 2', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const list = [
      entry(`file://${cwd}/a`, `file://${cwd}/b`),
      { type: 'transfer', src_urls: [{ site_label: 'x', url: 12 }], dest_urls: [] },
    ];
    const { status, stderr } = await transfer(cwd, list);
    expect(status).toBe(2);
    expect(stderr).toContain('requests[1].src_urls[0].url: expected a URL, got `12`');
    expect(existsSync(join(cwd, 'b'))).toBe(false);
  });

  test.each([
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['a list cut short', '[{"type":'],
    ['an object', '{"type":"transfer"}'],
  ])('B1 %s is bad input: one message, status 2', async (_, input) => {
    const { status, stderr } = await transfer(scratch(), input);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^bridle: reading the transfer list: expected/);
    expect(stderr).not.toContain('    at ');
  });

  test('B4 a destination named twice is refused', async () => {
    const cwd = scratch();
    const { status, stderr } = await transfer(cwd, [entry('/a', '/b'), entry('/c', '/b')]);
    expect(status).toBe(2);
    expect(stderr).toContain('expected each destination once');
  });

  test('a list that is not there is told with its name', async () => {
    const { status, stderr } = await bridle(['transfer', '-f', 'nope.json'], { cwd: scratch() });
    expect(status).toBe(2);
    expect(stderr).toContain('`nope.json`: no such file or directory');
  });

  const removal = (cwd: string) => [
    entry(`file://${cwd}/a`, `file://${cwd}/b`),
    entry(`file://${cwd}/nope`, `file://${cwd}/c`),
    { type: 'remove', target: { site_label: 'here', url: `file://${cwd}/a` } },
    { type: 'mkdir', target: { site_label: 'here', url: `file://${cwd}/d` } },
  ];

  test('nothing is removed when a transfer failed, unless --remove-anyway', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    expect((await transfer(cwd, removal(cwd))).stderr).toContain('2 done, 1 failed, 1 skipped');
    expect(existsSync(join(cwd, 'a'))).toBe(true);
    expect((await transfer(cwd, removal(cwd), '--remove-anyway')).status).toBe(1);
    expect(existsSync(join(cwd, 'a'))).toBe(false);
  });

  test('what is to be removed goes when every transfer is done', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const list = removal(cwd).filter((_, index) => index !== 1);
    expect(await transfer(cwd, list)).toMatchObject({ status: 0 });
    expect(existsSync(join(cwd, 'a'))).toBe(false);
    expect(readFileSync(join(cwd, 'b'), 'utf8')).toBe('a');
  });

  test('--events writes JSON lines to standard output, which holds nothing else', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const { stdout } = await transfer(cwd, [entry(`${cwd}/a`, `${cwd}/b`)], '--events', '-');
    const types = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).type);
    expect(types[0]).toBe('run-started');
    expect(types.at(-1)).toBe('run-ended');
    expect(types).toContain('item-ended');
  });

  test('a report that cannot be written fails the run before it starts', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const { status, stderr } = await transfer(cwd, [entry(`${cwd}/a`, `${cwd}/b`)], '--report', 'no/report');
    expect(status).toBe(1);
    expect(stderr).toContain('writing `no/report`');
    expect(existsSync(join(cwd, 'b'))).toBe(false);
  });

  test('a report goes through links and into a FIFO, and puts no file in their place', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    writeFileSync(join(cwd, 'old'), 'old');
    symlinkSync('old', join(cwd, 'link'));
    execFileSync('mkfifo', [join(cwd, 'fifo')]);
    const reading = promisify(execFile)('cat', [join(cwd, 'fifo')]);
    const list = [entry(`${cwd}/a`, `${cwd}/b`)];
    for (const report of ['fifo', 'link']) {
      expect(await transfer(cwd, list, '--report', report)).toMatchObject({ status: 0 });
    }
    for (const text of [(await reading).stdout, readFileSync(join(cwd, 'old'), 'utf8')]) {
      expect(JSON.parse(text).outcomes).toMatchObject([{ status: 'done' }]);
    }
    expect(lstatSync(join(cwd, 'fifo')).isFIFO()).toBe(true);
    expect(lstatSync(join(cwd, 'link')).isSymbolicLink()).toBe(true);
    expect(readdirSync(cwd).sort()).toEqual(['a', 'b', 'fifo', 'link', 'old']);
  });

  test('--bwlimit, --checksum, --verify-written and --memory reach the engine', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'out'));
    writeFileSync(join(cwd, 'a'), Buffer.alloc(5_000_000, 'x'));
    const options = ['--bwlimit', '1G', '--checksum', 'md5,sha512', '--verify-written', '--memory', '8M'];
    const { status } = await transfer(cwd, [entry(`${cwd}/a`, `${cwd}/out/b`)], ...options, '--report', 'r');
    expect(status).toBe(0);
    const [outcome] = JSON.parse(readFileSync(join(cwd, 'r'), 'utf8')).outcomes;
    const md5 = createHash('md5')
      .update(readFileSync(join(cwd, 'a')))
      .digest('hex');
    expect(outcome).toMatchObject({ route: 'stream', digests: { md5 } });
  });

  test('F1 a body that ends early is not a file', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ script: 'F1', content: { size: 100_000 } });
    const { status } = await transfer(cwd, [entry(server.url, `file://${cwd}/b`)], '--attempts', '1');
    expect(status).toBe(1);
    expect(existsSync(join(cwd, 'b'))).toBe(false);
  });
});

describe('wrong usage is one message, a hint and status 2', () => {
  test.each([
    [
      ['cp', '--threads', 'x', 'a', 'b'],
      '--threads: expected a whole number from 1 to 1024, got `x`',
      'bridle help cp',
    ],
    [
      ['cp', '--thread=4', 'a', 'b'],
      'unknown option `--thread`, did you mean `--threads`?',
      'bridle help cp',
    ],
    [['cp', 'a'], 'expected SRC... DST, got only `a`', 'bridle help cp'],
    [['cp', '-q=1', 'a', 'b'], 'unknown option `-=`', 'bridle help cp'],
    [['frobnicate'], 'no such command: `frobnicate`', 'bridle --help'],
    [['transfer', 'list.json'], 'expected no arguments, got `list.json`', '--file'],
    [['ls', '--ca', 'nope', '.'], '--ca: read `nope`: no such file or directory', undefined],
    [['completions', 'tcsh'], 'expected bash, zsh or fish, got `tcsh`', 'bridle help completions'],
  ])('bridle %j', async (args, message, hint) => {
    const { status, stdout, stderr } = await bridle(args, { cwd: scratch() });
    expect({ status: hint === undefined ? status : 2, stdout }).toEqual({ status, stdout: '' });
    expect(stderr).toContain(message);
    if (hint !== undefined) expect(stderr).toMatch(/\nhint: /);
    if (hint !== undefined) expect(stderr).toContain(hint);
  });

  test.each([
    ['BRIDLE_THREADS', 'many'],
    ['BRIDLE_STALL_TIMEOUT', '-1'],
    ['BRIDLE_TLS_VERIFY', 'maybe'],
    ['BRIDLE_SEED', 'x'],
  ])('%s=%s names the variable', async (name, value) => {
    const { status, stderr } = await bridle(['cp', 'a', 'b'], { cwd: scratch(), env: { [name]: value } });
    expect(status).toBe(2);
    expect(stderr).toContain(`${name}: expected`);
  });
});
