import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { isRunning, until } from '../job/jobs.ts';
import { readRecord } from './kickstart.ts';
import { bridle, ended, scratch, start } from './run-command.ts';

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

/** A directory for a test, where work directories are made, and what runs a job there. */
function place(env: Readonly<Record<string, string>> = {}) {
  const cwd = scratch();
  mkdirSync(join(cwd, 'wn'));
  const all = { PEGASUS_WN_TMP: join(cwd, 'wn'), PEGASUS_WN_TMP_MIN_SPACE: '1', ...env };
  const here = (name: string) => join(cwd, name);
  return {
    cwd,
    here,
    env: all,
    run: (args: readonly string[], script: string) =>
      bridle(['run', '-q', ...args, '--', '/bin/sh', '-c', script], { cwd, env: all }),
    /** What is left of work directories. */
    left: () => readdirSync(join(cwd, 'wn')),
    spec(job: unknown) {
      writeFileSync(here('job.json'), JSON.stringify(job));
      return ['--spec', 'job.json'];
    },
  };
}

describe('bridle run', () => {
  test('fetches inputs, runs the command beside them, and stages out what it makes', async () => {
    const { cwd, here, run, left, spec } = place();
    server = await startMisbehaving({ content: { size: 300_000 } });
    writeFileSync(here('tool'), '#!/bin/sh\ncat data/big small >"$1"\n', { mode: 0o644 });
    writeFileSync(here('a'), 'small');
    const content = server.content().digest('sha256');
    const job = spec({
      inputs: [
        { lfn: 'data/big', url: server.url, checksum: { sha256: content }, size: 300_000 },
        { lfn: 'tool', url: 'tool', executable: true },
      ],
      outputs: [{ lfn: 'out', url: `file://${cwd}/done/out` }],
    });
    const { status, stdout } = await run(
      [...job, '--input', 'small=a', '--record', 'record.yml'],
      './tool out && echo "said in $PWD"',
    );
    expect(status).toBe(0);
    expect(stdout).toContain(`said in ${cwd}/wn/bridle-run.`);
    const made = readFileSync(here('done/out'));
    expect(made).toHaveLength(300_005);
    expect(made.subarray(300_000).toString()).toBe('small');
    const record = readRecord(readFileSync(here('record.yml'), 'utf8'));
    expect(record.mainjob.status).toMatchObject({ raw: 0, regular_exitcode: 0 });
    expect(record.files.out).toMatchObject({ output: true, sha256: sha256(made) });
    expect(record.files['data/big']).toMatchObject({ size: 300_000 });
    expect(left()).toEqual([]);
  });

  test('an input with a wrong digest stops the job before it starts: status 71, a message, a record', async () => {
    const { here, run, left, spec } = place();
    writeFileSync(here('a'), 'a');
    const job = spec({ inputs: [{ lfn: 'a', url: 'a', checksum: { sha256: sha256('b') } }] });
    const { status, stderr } = await run([...job, '--record', 'record.yml'], `touch ${here('ran')}`);
    expect(status).toBe(71);
    expect(stderr).toContain('the job was not started: no good input `a`');
    expect(existsSync(here('ran'))).toBe(false);
    const record = readRecord(readFileSync(here('record.yml'), 'utf8'));
    expect(record).not.toHaveProperty('mainjob');
    expect(record.prejob.status).toEqual({ raw: 71 << 8, regular_exitcode: 71 });
    expect(left()).toEqual([]);
  });

  test('an input that is not proven as well as --require asks stops the job', async () => {
    const { here, run } = place();
    writeFileSync(here('a'), 'a');
    const weak = await run(['-i', 'a=a', '--require', 'end-to-end'], `touch ${here('ran')}`);
    expect(weak.status).toBe(71);
    expect(existsSync(here('ran'))).toBe(false);
    writeFileSync(here('SUMS'), `${sha256('a')}  a\n`);
    const args = ['-i', 'a=a', '--require', 'source=end-to-end', '--checksums', 'SUMS'];
    expect(await run(args, `touch ${here('ran')}`)).toMatchObject({ status: 0 });
    expect(existsSync(here('ran'))).toBe(true);
  });

  test('a checkpoint that cannot be fetched is no failure, and goes out even when the job fails', async () => {
    const { cwd, here, run, spec } = place();
    const url = `file://${cwd}/kept/state`;
    const job = spec({
      inputs: [{ lfn: 'state', url, checkpoint: true }],
      outputs: [
        { lfn: 'state', url, checkpoint: true },
        { lfn: 'out', url: 'out' },
      ],
    });
    const first = await run(job, 'test ! -e state && echo half >state && echo bad >out && exit 3');
    expect(first.status).toBe(3);
    expect(readFileSync(here('kept/state'), 'utf8')).toBe('half\n');
    expect(existsSync(here('out'))).toBe(false);
    const second = await run(job, 'cp state out');
    expect(second.status).toBe(0);
    expect(readFileSync(here('out'), 'utf8')).toBe('half\n');
  });

  test('F12 a retry of staging out does not run the job again', async () => {
    const { here, run } = place();
    server = await startMisbehaving({ script: 'F12', times: 1 });
    const { status } = await run(['-o', `a=${server.url}`], `echo x >>${here('runs')}; echo 1 >a`);
    expect(status).toBe(0);
    expect(server.requests.length).toBeGreaterThan(1);
    expect([...server.stored.values()].map(({ bytes }) => String(bytes))).toEqual(['1\n']);
    expect(readFileSync(here('runs'), 'utf8')).toBe('x\n');
  });

  test.each([
    ['is missing', 'true'],
    ['is a directory', 'mkdir out'],
  ])(
    'an output that %s fails the job with 65, and nothing goes out; --no-strict lets it pass',
    async (_, script) => {
      const { here, run } = place();
      const args = ['-o', 'out=out', '-o', 'other=other'];
      const { status, stderr } = await run(args, `${script}; echo 1 >other`);
      expect(status).toBe(65);
      expect(stderr).toContain('output `out`: not there, no regular file');
      expect(existsSync(here('other'))).toBe(false);
      expect(await run([...args, '--no-strict'], `${script}; echo 1 >other`)).toMatchObject({ status: 0 });
      expect(readFileSync(here('other'), 'utf8')).toBe('1\n');
      expect(existsSync(here('out'))).toBe(false);
    },
  );

  test('an output that is not what it must be fails the job with 65, also under --no-strict', async () => {
    const { here, run, spec } = place();
    const job = spec({ outputs: [{ lfn: 'out', url: 'out', checksum: { sha256: sha256('right') } }] });
    const { status, stderr } = await run([...job, '--no-strict'], 'printf wrong >out');
    expect(status).toBe(65);
    expect(stderr).toContain(`expected sha256 \`${sha256('right')}\`, got \`${sha256('wrong')}\``);
    expect(existsSync(here('out'))).toBe(false);
  });

  test('an output that does not arrive makes 74, and the record tells that the job itself went well and what came after it did not', async () => {
    const { here, run } = place();
    writeFileSync(here('file'), '');
    const { status, stderr } = await run(['-o', 'out=file/out', '--record', 'record.yml'], 'echo 1 >out');
    expect(status).toBe(74);
    expect(stderr).toContain('did not arrive: output `out`');
    const record = readRecord(readFileSync(here('record.yml'), 'utf8'));
    expect(record.mainjob.status.raw).toBe(0);
    expect(record.postjob.status).toEqual({ raw: 74 << 8, regular_exitcode: 74 });
    expect(record.postjob.problem).toBe('did not arrive: output `out`');
  });

  test.each([
    [65, ['-o', 'out=out'], 'true'],
    [74, ['-o', 'out=file/out'], 'echo 1 >out'],
    [71, ['-i', 'in=absent'], 'true'],
    [124, ['--deadline', '1s', '--reserve', '0.9s'], 'trap "exit 0" TERM; sleep 100 & wait'],
  ] as const)(
    'a record alone shows pegasus-exitcode that a run with status %i failed',
    async (exit, args, script) => {
      const { here, run, cwd } = place();
      writeFileSync(here('file'), '');
      expect(await run([...args, '--record', 'job.out'], script)).toMatchObject({ status: exit });
      const judged = await bridle(['job.out'], { cwd, program: 'pegasus-exitcode' });
      expect(judged.stdout).toContain(`task exited with raw status ${exit << 8}`);
      expect(judged.status).toBe(1);
      expect(await run(['--record', 'well.out'], 'true')).toMatchObject({ status: 0 });
      expect(await bridle(['well.out'], { cwd, program: 'pegasus-exitcode' })).toMatchObject({ status: 0 });
    },
  );

  test('variables whose names no shell knows reach the job through the launcher, and nothing of the launcher does', async () => {
    const { cwd, env, here } = place();
    const odd = { 'BASH_FUNC_x%%': '() { :; }', 'a.b-c': 'd', LAST: 'line\nline' };
    const launcher = fileURLToPath(new URL('../../bin/bridle', import.meta.url));
    await promisify(execFile)(
      launcher,
      ['run', '-q', '--pass-credentials', '--', '/bin/cp', '/proc/self/environ', here('got')],
      { cwd, env: { ...env, ...odd, BRIDLE_NODE: process.execPath, PATH: '/usr/bin:/bin' } },
    );
    const got = readFileSync(here('got'), 'utf8').split('\0').filter(Boolean);
    for (const [name, value] of Object.entries(odd)) expect(got).toContain(`${name}=${value}`);
    expect(got.filter((entry) => /^(?:BRIDLE_LAUNCHED|UV_THREADPOOL)/.test(entry))).toEqual([]);
  });

  test('the status is that of the job, 128 and its signal, 127 without a program', async () => {
    const { cwd, env, run } = place();
    expect(await run([], 'exit 42')).toMatchObject({ status: 42 });
    expect(await run([], 'kill -9 $$')).toMatchObject({ status: 137 });
    expect(await bridle(['run', '--', './none'], { cwd, env })).toMatchObject({ status: 127 });
  });

  test('arguments reach the job as they are, options of its own among them', async () => {
    const { cwd, env } = place();
    const words = ['$HOME', '--json', '', 'a  b', '--', 'ü'];
    const { stdout } = await bridle(['run', '--', 'printf', '<%s>', ...words], { cwd, env });
    expect(stdout).toBe('<$HOME><--json><><a  b><--><ü>');
  });

  test('arguments that are no UTF-8 reach the job byte for byte', async () => {
    const { cwd, env } = place();
    const main = fileURLToPath(new URL('../../dist/bridle.js', import.meta.url));
    const script = `exec "$@" run -- /bin/sh -c 'printf %s "$1" | od -An -tx1' sh "$(printf '\\377\\351')"`;
    const all = { PATH: '/usr/bin:/bin', HOME: cwd, ...env };
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', script, 'sh', process.execPath, main], {
      cwd,
      env: all,
    });
    expect(stdout.trim()).toBe('ff e9');
  });

  test('names of credentials are kept from the job unless it is to have them', async () => {
    const secrets = {
      AWS_SECRET_ACCESS_KEY: 's',
      BEARER_TOKEN: 's',
      PEGASUS_CREDENTIALS_pool: 's',
      X509_USER_PROXY: 's',
      SSH_PRIVATE_KEY_a: 's',
      GOOGLE_APPLICATION_CREDENTIALS: 's',
      BRIDLE_THREADS: '2',
      IRODS_ENVIRONMENT_FILE: 's',
      S3CFG: 's',
      BOTO_CONFIG: 's',
    };
    const { run } = place({ ...secrets, PLAIN: 'p' });
    const without = (await run([], 'env')).stdout;
    expect(without).toMatch(/^PLAIN=p$/m);
    for (const name of Object.keys(secrets)) expect(without).not.toContain(`${name}=`);
    const withThem = (await run(['--pass-credentials'], 'env')).stdout;
    for (const name of Object.keys(secrets)) expect(withThem).toContain(`${name}=`);
  });

  test('the work directory is private, and --keep leaves it', async () => {
    const { cwd, here, run, left } = place();
    const { stdout, stderr } = await run(['--keep', '-w', 'wn'], 'stat -c %a .; pwd; echo 1 >made');
    const [mode, path = ''] = stdout.split('\n');
    expect(mode).toBe('700');
    expect(stderr).toContain(`is kept: \`${path}\``);
    expect(path.startsWith(`${cwd}/wn/`)).toBe(true);
    expect(readFileSync(join(path, 'made'), 'utf8')).toBe('1\n');
    expect(left()).toHaveLength(1);
    expect(existsSync(here('made'))).toBe(false);
  });

  test('the work directory goes whatever the job left there, and what its links point to stays', async () => {
    const { here, run, left } = place();
    mkdirSync(here('mine'));
    writeFileSync(here('mine/file'), '1');
    symlinkSync(here('mine'), here('link'));
    await run([], `mkdir -p a/b; touch a/b/c; chmod 500 a/b a; ln -s ${here('mine')} link`);
    expect(left()).toEqual([]);
    expect(readFileSync(here('mine/file'), 'utf8')).toBe('1');
  });

  test('a job without a place to work is not started: 71', async () => {
    const { run } = place({ PEGASUS_WN_TMP_MIN_SPACE: '999999999999' });
    const { status, stderr } = await run([], 'echo ran');
    expect(status).toBe(71);
    expect(stderr).toMatch(
      /looking for a work directory: PEGASUS_WN_TMP `.*` has less than 999999999999 KiB free/,
    );
  });

  test('--json tells on standard output, alone there, what became of everything', async () => {
    const { here, run } = place();
    writeFileSync(here('a'), 'a');
    const { stdout, stderr } = await run(['--json', '-i', 'a=a', '-o', 'b=b'], 'echo said; cp a b; exit 0');
    expect(stderr).toContain('said');
    expect(JSON.parse(stdout)).toMatchObject({
      exitStatus: 0,
      job: { kind: 'exited', code: 0 },
      inputs: [{ lfn: 'a', arrived: true, bytes: 1 }],
      outputs: [{ lfn: 'b', sha256: sha256('a'), good: true }],
      stagedOut: [{ lfn: 'b', arrived: true }],
    });
    expect(JSON.parse((await run(['--json'], 'kill -TERM $$')).stdout)).toMatchObject({
      exitStatus: 143,
      job: { kind: 'signaled', signal: 15 },
    });
  });

  test('--capture keeps what the job prints for the record', async () => {
    const { here, run } = place();
    const { stdout, stderr } = await run(
      ['--capture', '--record', 'record.yml'],
      'echo said; echo cried >&2',
    );
    expect(stdout + stderr).not.toMatch(/said|cried/);
    const { files } = readRecord(readFileSync(here('record.yml'), 'utf8'));
    expect(files.stdout.data.trim()).toBe('said');
    expect(files.stderr.data.trim()).toBe('cried');
  });
});

describe('the end of a job', () => {
  test('a signal reaches all of it; what it saved is staged out, its outputs are not', async () => {
    const { cwd, here, env, left, spec } = place();
    const job = spec({
      outputs: [
        { lfn: 'state', url: 'state', checkpoint: true },
        { lfn: 'out', url: 'out' },
      ],
    });
    const script = `sleep 1000 & echo $! >${here('pid')}.; mv ${here('pid')}. ${here('pid')}
      trap 'echo saved >state; echo part >out; exit 0' TERM; wait`;
    const child = start(['run', '-q', ...job, '--', '/bin/sh', '-c', script], { cwd, env });
    const end = ended(child);
    await until(() => existsSync(here('pid')));
    child.kill('SIGTERM');
    const { status, stderr } = await end;
    expect(stderr).toContain('the job was told to end by SIGTERM');
    expect(status).toBe(143);
    expect(readFileSync(here('state'), 'utf8')).toBe('saved\n');
    expect(existsSync(here('out'))).toBe(false);
    expect(isRunning(Number(readFileSync(here('pid'), 'utf8')))).toBe(false);
    expect(left()).toEqual([]);
  });

  test('a signal while inputs come ends the run before the job starts', async () => {
    const { cwd, here, env, left } = place();
    server = await startMisbehaving({ script: 'F27', content: { size: 1000 } });
    const running = server;
    const args = ['run', '-q', '-i', `a=${running.url}`, '--', 'touch', here('ran')];
    const child = start(args, { cwd, env });
    const end = ended(child);
    await until(() => running.requests.length > 0);
    child.kill('SIGINT');
    expect(await end).toMatchObject({ status: 130 });
    expect(existsSync(here('ran'))).toBe(false);
    expect(left()).toEqual([]);
  });

  test('P8 a second signal ends a job that does not care, stages nothing, and leaves a record', async () => {
    const { cwd, here, env, left, spec } = place();
    const job = spec({ outputs: [{ lfn: 'state', url: 'state', checkpoint: true }] });
    const script = `trap "" TERM INT; echo saved >state; setsid sleep 1000 & echo $! >${here('pid')}.
      mv ${here('pid')}. ${here('pid')}; while :; do sleep 1000; done`;
    const args = ['run', '-q', ...job, '--record', 'record.yml', '--', '/bin/sh', '-c', script];
    const child = start(args, { cwd, env });
    const end = ended(child);
    await until(() => existsSync(here('pid')));
    child.kill('SIGTERM');
    await until(() => {
      if (!existsSync(here('record.yml'))) child.kill('SIGINT');
      return child.exitCode !== null;
    });
    expect(await end).toMatchObject({ status: 137 });
    expect(existsSync(here('state'))).toBe(false);
    expect(isRunning(Number(readFileSync(here('pid'), 'utf8')))).toBe(false);
    expect(readRecord(readFileSync(here('record.yml'), 'utf8')).mainjob.status).toMatchObject({
      signalled_signal: 9,
    });
    expect(left()).toEqual([]);
  });

  test('signals within a second are one: the job ends as it likes, and its checkpoint goes out', async () => {
    const { cwd, here, env, spec } = place();
    const job = spec({ outputs: [{ lfn: 'state', url: 'state', checkpoint: true }] });
    const script = `trap 'trap "" TERM; echo saved >state; exit 0' TERM; >${here('up')}; sleep 1000 & wait`;
    const child = start(['run', '-q', ...job, '--', '/bin/sh', '-c', script], { cwd, env });
    const end = ended(child);
    await until(() => existsSync(here('up')));
    child.kill('SIGTERM');
    child.kill('SIGTERM');
    expect(await end).toMatchObject({ status: 143 });
    expect(readFileSync(here('state'), 'utf8')).toBe('saved\n');
  });

  test('P8 a signal while outputs go ends the run, and the record tells of it', async () => {
    const { cwd, here, env, left } = place();
    server = await startMisbehaving({ script: 'F27' });
    const running = server;
    const args = [
      'run',
      '-q',
      '-o',
      `a=${running.url}`,
      '--record',
      'record.yml',
      '--',
      '/bin/sh',
      '-c',
      'echo 1 >a',
    ];
    const child = start(args, { cwd, env });
    const end = ended(child);
    await until(() => running.requests.length > 0);
    child.kill('SIGTERM');
    expect(await end).toMatchObject({ status: 143 });
    const record = readRecord(readFileSync(here('record.yml'), 'utf8'));
    expect(record.mainjob.status.raw).toBe(0);
    expect(record.postjob.status.regular_exitcode).toBe(143);
    expect(left()).toEqual([]);
  });

  test('a job that ends well only since its time was over has 124, and its checkpoint goes out', async () => {
    const { here, run, spec } = place();
    const job = spec({ outputs: [{ lfn: 'state', url: 'state', checkpoint: true }] });
    const args = [...job, '--deadline', '60', '--reserve', '57', '--heartbeat', '0.05'];
    const script = "trap 'echo saved >state; kill $!; exit 0' TERM; sleep 1000 & wait";
    const { status, stderr } = await run(args, script);
    expect(status).toBe(124);
    expect(stderr).toContain('job: running for 0 s');
    expect(readFileSync(here('state'), 'utf8')).toBe('saved\n');
  });

  test('what a job leaves running is ended with it', async () => {
    const { here, run } = place();
    const { status } = await run([], `setsid sleep 1000 >/dev/null 2>&1 & echo $! >${here('pid')}`);
    expect(status).toBe(0);
    expect(isRunning(Number(readFileSync(here('pid'), 'utf8')))).toBe(false);
  });
});

describe('a job that cannot be meant', () => {
  test.each([
    [{ inputs: {} }, 'job.json: inputs: expected a list, got an object'],
    [{ inputs: [{ url: 'a' }] }, 'inputs[0].lfn: expected a name, got nothing'],
    [{ inputs: [{ lfn: 'a' }] }, 'inputs[0].url: expected a URL, got nothing'],
    [{ inputs: [{ lfn: '../a', url: 'a' }] }, 'inputs[0].lfn: expected a relative path'],
    [{ outputs: [{ lfn: '/a', url: 'a' }] }, 'outputs[0].lfn: expected a relative path'],
    [{ outputs: [{ lfn: 'a', executable: true }] }, 'outputs[0]: expected only'],
    [
      { inputs: [{ lfn: 'a', url: 'a', checksum: { sha256: '1' } }] },
      'inputs[0].checksum.sha256: expected 64',
    ],
    [{ inputs: [{ lfn: 'a', url: 'a', urls: ['b'] }] }, 'inputs[0].urls: expected nothing beside `url`'],
    [{ inputs: [{ lfn: 'a', urls: ['b', 1] }] }, 'inputs[0].urls[1]: expected a URL, got `1`'],
    [{ inputs: [{ lfn: 'a', url: 'a', size: -1 }] }, 'inputs[0].size: expected a number of bytes, got `-1`'],
    [
      { inputs: [{ lfn: 'a', url: 'a', checkpoint: 'no' }] },
      'inputs[0].checkpoint: expected true or false, got `no`',
    ],
    [
      {
        inputs: [
          { lfn: 'a', url: 'a' },
          { lfn: 'a', url: 'b' },
        ],
      },
      'inputs: expected each name once, `a` is there twice',
    ],
    [{ command: ['a', 1] }, 'command[1]: expected a string without NUL, got `1`'],
    [{ input: [] }, 'job.json: expected only `inputs`, `outputs`, `command`, got `input`'],
    [[], 'job.json: expected an object, got a list'],
  ])('%j is told with its field: %s', async (job, message) => {
    const { here, run, left, spec } = place();
    const { status, stderr } = await run(spec(job), `touch ${here('ran')}`);
    expect(stderr).toContain(message);
    expect(status).toBe(2);
    expect(existsSync(here('ran'))).toBe(false);
    expect(left()).toEqual([]);
  });

  test.each([
    [['run'], 'expected a command, got nothing'],
    [['run', 'true'], 'expected no arguments, got `true`'],
    [['run', '-i', 'a', '--', 'true'], '--input: expected `LFN=URL`, got `a`'],
    [['run', '--capture', '--', 'true'], '--capture: expected --record'],
    [['run', '--spec', 'none', '--', 'true'], 'reading the job `none`'],
  ])('%j: %s', async (args, message) => {
    const { cwd, env } = place();
    const { status, stderr } = await bridle(args, { cwd, env });
    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });
});

describe('--image', () => {
  test('--dry-run prints the command lines, quoted as a shell would need them, and runs nothing', async () => {
    const { cwd, env } = place();
    const bin = join(cwd, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'docker'), '#!/bin/sh\ntouch called\n', { mode: 0o755 });
    writeFileSync(join(cwd, 'image.tar'), '');
    const args = ['--image', 'image.tar', '--container-args', '--memory "2 g"', '--mount', '/refs:/refs:ro'];
    const run = await bridle(['run', '--dry-run', ...args, '--', './count', "it's"], {
      cwd,
      env: { ...env, PATH: bin },
    });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    const [load, line = '', remove] = run.stdout.trimEnd().split('\n');
    expect(load).toBe(`${bin}/docker load --input ${cwd}/image.tar`);
    expect(line).toContain(' --volume /WORK-DIRECTORY:/scratch --volume /refs:/refs:ro ');
    expect(line).toMatch(/ --memory '2 g' --entrypoint \.\/count IMAGE-AS-LOADED 'it'\\''s'$/);
    expect(remove).toMatch(/docker rm --force bridle-/);
    expect(existsSync(join(cwd, 'called'))).toBe(false);
  });

  test('B2 what cannot be meant is told before anything is fetched', async () => {
    const { cwd, env } = place();
    const run = (...args: string[]) =>
      bridle(['run', ...args, '--', 'true'], { cwd, env: { ...env, PATH: '/nowhere' } });
    const none = await run('--image', 'busybox');
    expect(none).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('none of podman, docker, apptainer, singularity, shifter is in PATH'),
    });
    const words = await run('--image', 'busybox', '--container-args', '"open');
    expect(words).toMatchObject({ status: 2, stderr: expect.stringContaining('--container-args: `"open`') });
  });
});
