import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Any, kickstart, LAUNCHER, leftIn, readRecord, wrap } from './kickstart.ts';
import { ended, scratch, start } from './run-command.ts';

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

/** A shell script that can be run. */
function script(path: string, text: string): string {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

const FULL = readFileSync(new URL('../../fixtures/kickstart/full.yml', import.meta.url), 'utf8');

describe('a record', () => {
  test('has the keys of the original in its order, down to each job and file', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'in.dat'), 'content\n');
    script(
      join(cwd, 'job.sh'),
      'cat in.dat >out.dat; echo stage=demo >"$KICKSTART_METADATA"; echo a warning >&2; echo hi',
    );
    const side = Object.fromEntries(
      ['SETUP', 'PREJOB', 'POSTJOB', 'CLEANUP'].map((name) => [`KICKSTART_${name}`, `/bin/echo ${name}`]),
    );
    const { status, stdout, record } = await kickstart(
      [
        '-f',
        '-n',
        '"demo::a"',
        '-N',
        'ID1',
        '-R',
        'pool',
        '-L',
        'wf',
        '-T',
        '2026',
        '-S',
        'in.dat=in.dat',
        '-s',
        'out.dat=out.dat',
        'job.sh',
        'arg one',
      ],
      { cwd, env: { CONDOR_JOBID: '42.0', ...side } },
    );
    expect(status).toBe(0);
    const skeleton = (text: string) =>
      text
        .split('\n')
        .filter((line) => /^ *(?:- )?[\w-]+:/.test(line) && !/^ {8}/.test(line))
        .map((line) => line.replace(/^( *(?:- )?[\w-]+:).*$/, '$1'))
        .filter((line) => !/procs_|task_|hostname:|interface:|hostaddr:/.test(line));
    const environment = (lines: string[]) => lines.filter((line) => !/^ {4}"/.test(line));
    expect(environment(skeleton(stdout))).toEqual(environment(skeleton(FULL)));
    expect(record).toMatchObject({
      transformation: 'demo::a',
      derivation: 'ID1',
      resource: 'pool',
      'wf-label': 'wf',
      'wf-stamp': '2026',
    });
    expect(record.mainjob).toMatchObject({
      status: { raw: 0, regular_exitcode: 0 },
      executable: { file_name: realpathSync(join(cwd, 'job.sh')) },
      argument_vector: ['arg one'],
      procs: null,
    });
    expect(record.files['out.dat']).toMatchObject({
      lfn: 'out.dat',
      size: 8,
      output: true,
      sha256: sha256('content\n'),
    });
    expect(record.files.stdout.data).toBe('SETUP\nPREJOB\nhi\nPOSTJOB\nCLEANUP\n');
    expect(record.files.metadata.data).toBe('stage=demo\n');
    expect(leftIn(cwd)).toEqual([]);
  });

  test('tells local time with the whole of its offset', async () => {
    const { record } = await kickstart(['/bin/true'], { cwd: scratch(), env: { TZ: 'Asia/Kolkata' } });
    expect(String(record.files.stdin.mtime instanceof Date)).toBe('true');
    const { stdout } = await wrap(['/bin/true'], { cwd: scratch(), env: { TZ: 'America/St_Johns' } });
    expect(stdout).toMatch(/^ {2}start: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-0[23]:30$/m);
  });

  test('S13 cannot be forged by what a job prints', async () => {
    const cwd = scratch();
    const lines = [
      '- invocation: True',
      '  version: 1',
      'raw: 7',
      '      raw: -1',
      '---------------pegasus-multipart',
      '[cluster-summary stat="ok"]',
      'integrity_error: x',
      '<status raw="0">',
      'a "quoted" \\ word',
      '  indented',
      '...',
      '---',
    ];
    writeFileSync(join(cwd, 'text'), `${lines.join('\n')}\n`);
    const { stdout, record } = await kickstart(['/bin/sh', '-c', 'cat text', 'raw: 7'], { cwd });
    expect(stdout.match(/raw: -?\d+/g)).toEqual(['raw: 0']);
    expect(stdout).not.toMatch(/pegasus-multipart.*-{15}|-{15}pegasus|\[cluster-|integrity_error: |<status/);
    expect(record.files.stdout.data).toBe(`${lines.join('\n')}\n`);
    expect(record.mainjob.argument_vector).toEqual(['-c', 'cat text', 'raw: 7']);
  });

  test('S13 cannot be forged by the integrity data either, and a name has one key', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'out.dat'), '1');
    script(
      join(cwd, 'job.sh'),
      `cat >"$KICKSTART_INTEGRITY_DATA" <<'.'
    "staged.dat":
      file_name: "/srv/staged.dat"
      raw: 7
- invocation: True
  mainjob: {}
      output: True
      sha256: abc
    "out.dat":
      sha256: def
.`,
    );
    const { stdout, stderr, record } = await kickstart(['-s', 'out.dat=out.dat', './job.sh'], { cwd });
    expect(stdout.match(/raw: -?\d+/g)).toEqual(['raw: 0']);
    expect(stderr).toMatch(/3 lines that are no entry/);
    expect(record.files['staged.dat']).toEqual({ file_name: '/srv/staged.dat', output: true, sha256: 'abc' });
    expect(record.files['out.dat']).toEqual({ sha256: 'def' });
  });

  test('keeps a file that is called like a stream apart from it', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'stdout'), '1');
    const { record } = await kickstart(
      ['-s', 'stdout=stdout', '-s', 'yes=stdout', '-s', '12=stdout', '/bin/true'],
      { cwd },
    );
    expect(record.files['./stdout']).toMatchObject({ lfn: 'stdout', sha256: sha256('1') });
    expect(record.files.stdout).toHaveProperty('temporary_name');
    expect(Object.keys(record.files)).toContain('yes');
    expect(Object.keys(record.files)).toContain('12');
  });

  test('shows the last characters of the output, and all of it when asked', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'text'), `${'é'.repeat(100)}ab`);
    const data = async (...args: string[]) => {
      const { data_truncated: isCut, data } = (await kickstart([...args, '/bin/cat', 'text'], { cwd })).record
        .files.stdout;
      return [isCut, data.trimEnd()];
    };
    expect(await data('-B', '5')).toEqual([true, 'éééab']);
    expect(await data('-B', '102')).toEqual([false, `${'é'.repeat(100)}ab`]);
    expect(await data('-Ball')).toEqual([false, `${'é'.repeat(100)}ab`]);
  });

  test('is complete when a job failed, and P10 hides what looks like a secret, in the URLs of variables too', async () => {
    const { status, record } = await kickstart(['-q', '/bin/sh', '-c', 'echo no; exit 3'], {
      cwd: scratch(),
      env: {
        AWS_SECRET_ACCESS_KEY: 'marked',
        X509_USER_PROXY: '/tmp/x',
        http_proxy: 'http://me:marked@proxy:3128',
        LINKS:
          'see https://h/a?part=1&X-Amz-Signature=marked&X-Amz-Date=marked#d "https://h/b?SIG=marked" s3://b/k',
        LINK: 'https://me:marked@h/?%74oken=marked;v=2#access_token=marked',
        CODE: 'f() { g; code=$?; }',
      },
    });
    expect(status).toBe(3);
    expect(record.mainjob.status).toEqual({ raw: 768, regular_exitcode: 3 });
    expect(record.files.stdout.data).toBe('no\n');
    expect(record.environment).toMatchObject({
      AWS_SECRET_ACCESS_KEY: '***',
      X509_USER_PROXY: '/tmp/x',
      http_proxy: 'http://me:***@proxy:3128',
      LINKS: 'see https://h/a?part=1&X-Amz-Signature=***&X-Amz-Date=***#d "https://h/b?SIG=***" s3://b/k',
      LINK: 'https://me:***@h/?%74oken=***;v=2#access_token=***',
      CODE: 'f() { g; code=$?; }',
    });
    expect(JSON.stringify(record.environment)).not.toContain('marked');
    expect(Object.keys(record.limits)).toHaveLength(32);
  });

  test('leaves out captured output with -q, and the machine with -H', async () => {
    const { record } = await kickstart(['-q', '-H', '/bin/echo', 'hi'], { cwd: scratch() });
    expect(record.files.stdout).not.toHaveProperty('data');
    expect(record).not.toHaveProperty('machine');
    expect(record).not.toHaveProperty('environment');
  });
});

describe('a job', () => {
  test('gets arguments and environment byte for byte, odd names as well', async () => {
    const cwd = scratch();
    const { record } = await kickstart(['/bin/sh', '-c', 'tr "\\\\0" "\\\\n" </proc/self/environ'], {
      cwd,
      env: { 'BASH_FUNC_x%%': '() { :; }', 'a.b': 'dotted', UV_THREADPOOL_SIZE: '3' },
    });
    const lines = record.files.stdout.data.split('\n') as string[];
    expect(lines).toEqual(
      expect.arrayContaining(['a.b=dotted', 'BASH_FUNC_x%%=() { :; }', 'UV_THREADPOOL_SIZE=3']),
    );
    expect(lines.filter((line) => line.startsWith('BRIDLE_LAUNCHED'))).toEqual([]);
  });

  test('gets a soft limit of open files that node has raised as it was', async () => {
    const { record } = await kickstart(['-i', '-', '/bin/sh', '-c', '/bin/sh'], {
      cwd: scratch(),
      input: `ulimit -S -n 60; exec "${LAUNCHER}" -H /bin/sh -c 'ulimit -S -n'\n`,
    });
    expect(record.files.stdout.data).toMatch(/data: \|\n +60\n/);
  });

  test.each([
    ['exits', 'exit 7', 7, { raw: 1792, regular_exitcode: 7 }],
    [
      'is killed',
      'kill -9 \\$\\$',
      137,
      { raw: 9, signalled_signal: 9, singalled_name: 'Killed', signalled_name: 'Killed' },
    ],
    [
      'aborts',
      'ulimit -c 0; kill -ABRT \\$\\$',
      134,
      { signalled_signal: 6, singalled_name: 'Aborted', corefile: false },
    ],
  ])('that %s says so', async (_, command, status, told) => {
    const run = await kickstart(['/bin/sh', '-c', command], { cwd: scratch() });
    expect(run.status).toBe(status);
    expect(run.record.mainjob.status).toMatchObject(told);
  });

  test('runs after prejob and before postjob, and the cleanup always', async () => {
    const cwd = scratch();
    const env = {
      KICKSTART_PREJOB: '/bin/false',
      KICKSTART_CLEANUP: '/bin/touch "cleaned up"',
      GRIDSTART_SETUP: "/bin/sh -c 'exit 5'",
    };
    const { status, record } = await kickstart(['/bin/touch', 'ran'], { cwd, env });
    expect(status).toBe(1);
    expect(Object.keys(record).filter((key) => /job$|setup|cleanup/.test(key))).toEqual([
      'setup',
      'prejob',
      'cleanup',
    ]);
    expect(existsSync(join(cwd, 'ran'))).toBe(false);
    expect(existsSync(join(cwd, 'cleaned up'))).toBe(true);
  });

  test('whose setup fails is no failure, but has a full record', async () => {
    const { status, record } = await kickstart(['/bin/true'], {
      cwd: scratch(),
      env: { KICKSTART_SETUP: '/bin/false' },
    });
    expect(status).toBe(0);
    expect(record).toHaveProperty('environment');
  });

  test('is ended when its time is over, with 14, and killed when it does not mind', async () => {
    const cwd = scratch();
    const start = performance.now();
    const { status, stderr, record } = await kickstart(
      ['-k', '1', '-K', '1', '/bin/sh', '-c', "trap '' TERM; sleep 60 & wait; sleep 60"],
      { cwd, env: { KICKSTART_CLEANUP: '/bin/touch cleaned' } },
    );
    expect(status).toBe(14);
    expect(stderr).toBe('Job timed out, sending SIGTERM\nJob still running, sending SIGKILL\n');
    expect(record.mainjob.status.raw).toBe(9);
    expect(existsSync(join(cwd, 'cleaned'))).toBe(true);
    expect(performance.now() - start).toBeLessThan(50_000);
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const)('is passed %s', async (signal) => {
    const cwd = scratch();
    const command = `trap 'echo got it; exit 9' ${signal.slice(3)}; touch ready; while :; do sleep 0.05; done`;
    const { status, record } = await kickstart(['/bin/sh', '-c', command], {
      cwd,
      async during(pid) {
        await expect.poll(() => existsSync(join(cwd, 'ready')), { timeout: 60_000 }).toBe(true);
        process.kill(pid, signal);
      },
    });
    expect(status).toBe(9);
    expect(record.files.stdout.data).toContain('got it\n');
  });

  test('is put into what KICKSTART_WRAPPER names, and finds what KICKSTART_PREPEND_PATH has', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'tools'));
    script(join(cwd, 'tools/tool'), 'echo "$0" "$@"');
    const env = { KICKSTART_WRAPPER: '/usr/bin/env "A=b c"', KICKSTART_PREPEND_PATH: join(cwd, 'tools') };
    const { record } = await kickstart(['tool', '$KICKSTART_PREPEND_PATH'], { cwd, env });
    expect(record.mainjob.executable.file_name).toBe('/usr/bin/env');
    expect(record.mainjob.argument_vector).toEqual(['A=b c', 'tool', env.KICKSTART_PREPEND_PATH]);
    expect(record.files.stdout.data).toBe(`${cwd}/tools/tool ${cwd}/tools\n`);
  });
});

describe('standard streams', () => {
  test('go where they are told, and what was there is kept when that is said', async () => {
    const cwd = scratch();
    const put = (out: string) => wrap(['-o', out, '/bin/echo', 'new'], { cwd });
    const read = (name: string) => readFileSync(join(cwd, name), 'utf8');
    writeFileSync(join(cwd, 'a'), 'old\n');
    await put('!a');
    expect(read('a')).toBe('old\nnew\n');
    await put('^a');
    expect([read('a'), read('a.000')]).toEqual(['new\n', 'old\nnew\n']);
    await put('^!a');
    expect([read('a'), read('a.001')]).toEqual(['new\n', 'new\n']);
    await put('a');
    expect(read('a')).toBe('new\n');
  });

  test('of the wrapper itself are lent for -', async () => {
    const cwd = scratch();
    const { stdout, stderr, status } = await wrap(
      ['-i', '-', '-o', '-', '-e', '-', '-l', 'log', '/bin/sh', '-c', 'cat; echo err >&2'],
      { cwd, input: 'in\n' },
    );
    expect({ stdout, stderr, status }).toEqual({ stdout: 'in\n', stderr: 'err\n', status: 0 });
    const { files } = readRecord(readFileSync(join(cwd, 'log'), 'utf8'));
    expect(files.stdout).toMatchObject({ descriptor_number: 1 });
  });

  test('that cannot be opened end it with 126', async () => {
    const { status, record } = await kickstart(['-o', 'none/there', '/bin/true'], { cwd: scratch() });
    expect(status).toBe(126);
    expect(record.mainjob.status).toEqual({ raw: 32256, regular_exitcode: 126 });
  });
});

describe('outputs', () => {
  const outputs = async (env: Record<string, string> = {}) => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'directory'));
    writeFileSync(join(cwd, 'list'), '# outputs\ngood=good\n\n  absent=absent # not made\n');
    return kickstart(['-s', '@$LISTS/list', '-sdirectory', '/bin/sh', '-c', 'echo hi >good'], {
      cwd,
      env: { LISTS: cwd, ...env },
    });
  };

  test('that are absent or directories are told as errors, and fail a strict run', async () => {
    const { status, record } = await outputs();
    expect(status).toBe(0);
    expect(record.files.good).toMatchObject({ output: true, sha256: sha256('hi\n') });
    expect(record.files['  absent']).toMatchObject({ error: 2 });
    expect(record.files.directory).toMatchObject({ error: 21, mode: '0o40755' });
    expect(record.files.directory).not.toHaveProperty('sha256');
    expect((await outputs({ BRIDLE_STRICT: '1' })).status).toBe(1);
  });

  test('whose list is not there are told of, and fail a strict run', async () => {
    const cwd = scratch();
    const { status, stderr } = await kickstart(['-s', '@none', '/bin/true'], { cwd });
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: 'ERROR: list of files `none`: no such file or directory\n',
    });
    const strict = await kickstart(['-s', '@none', '/bin/true'], { cwd, env: { BRIDLE_STRICT: '1' } });
    expect(strict.status).toBe(1);
  });

  test('by the hundred are digested in their order', async () => {
    const cwd = scratch();
    const names = Array.from({ length: 300 }, (_, at) => `out-${at}`);
    for (const name of names) writeFileSync(join(cwd, name), name);
    writeFileSync(join(cwd, 'list'), names.map((name) => `lfn-${name}=${name}\n`).join(''));
    const { record } = await kickstart(['-s', '@list', '/bin/true'], { cwd });
    expect(names.map((name) => record.files[`lfn-${name}`].sha256)).toEqual(names.map(sha256));
  });
});

describe('what cannot be run', () => {
  const record = (args: string[], cwd = scratch(), env: Record<string, string> = {}) =>
    kickstart(args, { cwd, env });

  test.each([
    ['is missing', () => 'nothing-there', 2],
    ['is a directory', (cwd: string) => cwd, 13],
    [
      'is not executable',
      (cwd: string) => {
        writeFileSync(join(cwd, 'plain'), '#!/bin/sh\n');
        return `${cwd}/plain`;
      },
      13,
    ],
  ])('because it %s ends with 127 and a record', async (_, make, errno) => {
    const cwd = scratch();
    if (errno === 13 && process.getuid?.() !== 0) chmodSync(cwd, 0o755);
    const { status, stderr, record: made } = await record([make(cwd)], cwd);
    expect(status).toBe(127);
    expect(stderr).toMatch(/^FATAL: Unable to execute/);
    expect(made.mainjob.status.raw).toBe(-127);
    expect(made.mainjob.status.failure_error).toMatch(new RegExp(`^${errno} {3}[A-Z]`));
  });

  test('is not looked for in PATH when its name has a slash', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'date'));
    for (const name of ['./date', 'bin/date', './true']) {
      const { status, record: made } = await record([name], cwd, { PATH: '/usr/bin:/bin:/usr:/' });
      expect(status).toBe(127);
      expect(made.mainjob.status.raw).toBe(-127);
    }
  });

  test.each([
    ['a script without a first line of its own', Buffer.from('echo hi\n')],
    [
      'a program of another machine',
      Buffer.concat([
        Buffer.from('7f454c46020101', 'hex'),
        Buffer.alloc(9),
        Buffer.from('0200f3000100', 'hex'),
        Buffer.alloc(100),
      ]),
    ],
  ])('because it is %s ends with 127', async (_, bytes) => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'program'), bytes);
    chmodSync(join(cwd, 'program'), 0o755);
    const { status, record: made } = await record(['./program'], cwd);
    expect(status).toBe(127);
    expect(made.mainjob.status).toEqual({ raw: 32512, regular_exitcode: 127 });
    expect(made.files.stderr.data).toBe('execv: Exec format error\n');
  });

  test('is made executable with -X', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'plain'), '#!/bin/sh\necho ran\n', { mode: 0o600 });
    expect((await record(['-X', './plain'], cwd)).record.files.stdout.data).toBe('ran\n');
  });

  test.each([
    [['/bin/echo', "it's"], 1],
    [['/bin/echo', '"open'], 1],
    [['/bin/echo', '$UNDEFINED_HERE'], 1],
    [['/bin/sh', '-c', 'kill $$'], 1],
    [['/bin/echo', 'x$'], 1],
    [['-B', '0', '/bin/true'], 127],
    [['-B'], 127],
    [['-K', '0', '/bin/true'], 127],
    [['-k', 'soon', '/bin/true'], 127],
    [['-w', 'nowhere', '/bin/true'], 127],
    [['-W', 'no/where', '/bin/true'], 127],
    [['-I', 'nothing', 'more'], 127],
    [['-I', 'nothing'], 127],
  ])('as %j ends with %i, says why, and has a record without a job', async (args, status) => {
    const run = await record(args);
    expect(run.status).toBe(status);
    expect(run.stderr).not.toBe('');
    expect(run.record).not.toHaveProperty('mainjob');
    expect(run.record).toHaveProperty('environment');
  });

  test.each([[[]], [['-h']], [['-?']], [['-f']]])('as %j shows the usage, and no record', async (args) => {
    const { status, stdout, stderr } = await wrap(args, { cwd: scratch() });
    expect({ status, stdout }).toEqual({ status: 127, stdout: '' });
    expect(stderr).toMatch(/^Usage: pegasus-kickstart/);
  });

  test('an argument of 127 KiB arrives, one of 129 KiB is refused', async () => {
    const cwd = scratch();
    const lines = (size: number) =>
      writeFileSync(join(cwd, 'args'), `/usr/bin/wc\n-c\n--files0-from=-\n${'x'.repeat(size)}\n`);
    lines(129 * 1024);
    expect((await record(['-I', 'args'], cwd)).status).toBe(127);
    writeFileSync(join(cwd, 'args'), `/bin/echo\n${'x'.repeat(127 * 1024)}\n`);
    const { status, record: made } = await record(['-I', 'args'], cwd);
    expect(status).toBe(0);
    expect(made.mainjob.argument_vector[0]).toHaveLength(127 * 1024);
  });
});

describe('the wrapper', () => {
  test('prints its version and nothing else', async () => {
    const { status, stdout } = await wrap(['-V'], { cwd: scratch() });
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `${JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version}\n`,
    });
  });

  test('warns once of tracing that it does not do', async () => {
    const { stderr, record } = await kickstart(['-t', '-z', '-Z', '/bin/true'], { cwd: scratch() });
    expect(stderr.match(/tracing/g)).toHaveLength(1);
    expect(record.mainjob.procs).toBeNull();
  });

  test('makes the directory of -W, works there, and appends records to -l', async () => {
    const cwd = scratch();
    for (let at = 0; at < 2; at++) await wrap(['-W', 'made', '-l', 'log', '/bin/pwd'], { cwd });
    const text = readFileSync(join(cwd, 'made/log'), 'utf8');
    expect(text.match(/^- invocation/gm)).toHaveLength(2);
    expect(readRecord(text.slice(text.lastIndexOf('- invocation')))).toMatchObject({
      cwd: realpathSync(join(cwd, 'made')),
    });
  });

  test('that cannot write its record puts it on standard error and ends with 1', async () => {
    const { status, stdout, stderr } = await wrap(['-l', 'none/there', '/bin/true'], { cwd: scratch() });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    const at = stderr.indexOf('writing the record to');
    expect(at).toBeGreaterThan(0);
    expect((readRecord(stderr.slice(0, at)) as Any).mainjob.status.raw).toBe(0);
  });

  test('finds its temporary files again, wherever their directory was named from', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'tmp'));
    mkdirSync(join(cwd, 'work'));
    const job = 'echo a=b >"$KICKSTART_METADATA"';
    const { record } = await kickstart(['-w', 'work', '/bin/sh', '-c', job], {
      cwd,
      env: { KICKSTART_TMP: 'tmp' },
    });
    expect(record.files.metadata.data).toBe('a=b\n');
    expect(leftIn(join(cwd, 'tmp'))).toEqual([]);
  });

  test('L1 whose record does not fit into its file leaves that as it was, and has the record on standard error', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'log'), 'before\n');
    const limited = `trap '' XFSZ; ulimit -f 4; exec "${LAUNCHER}" -l log /bin/true`;
    const child = spawn('/bin/sh', ['-c', limited], {
      cwd,
      env: { PATH: '/usr/bin:/bin', KICKSTART_TMP: cwd },
    });
    const { status, stderr } = await ended(child);
    expect(status).toBe(1);
    expect(readFileSync(join(cwd, 'log'), 'utf8')).toBe('before\n');
    expect(readRecord(stderr.slice(0, stderr.indexOf('writing the record'))).mainjob.status.raw).toBe(0);
  });

  test('goes on when its directory is removed meanwhile', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'gone'));
    const { status, record } = await kickstart(
      ['-w', 'gone', '-s', 'out=out', '/bin/sh', '-c', 'rmdir ../gone; echo hi'],
      { cwd },
    );
    expect(status).toBe(0);
    expect(record.files.stdout.data).toBe('hi\n');
    expect(record.files.out.error).toBe(2);
  });
});

describe('digests as written', () => {
  test('are those of the whole, and the record says how they came about', async () => {
    const cwd = scratch();
    const job =
      'for i in 1 2 3 4 5; do head -c 500000 /dev/zero; sleep 0.05; done >grown; echo head >patched; head -c 3000000 /dev/zero >>patched; sleep 0.3; printf X | dd of=patched conv=notrunc status=none';
    const { status, record } = await kickstart(['-s', 'grown', '-s', 'patched', '/bin/sh', '-c', job], {
      cwd,
      env: { BRIDLE_HASH_AS_WRITTEN: '1' },
    });
    expect(status).toBe(0);
    expect(record.files.grown).toMatchObject({
      sha256: sha256(Buffer.alloc(2_500_000)),
      checksum_method: 'as-written',
    });
    expect(record.files.patched).toMatchObject({
      sha256: sha256(readFileSync(join(cwd, 'patched'))),
      checksum_method: 'full-pass',
    });
  });
});

describe('a record is judged by pegasus-exitcode', () => {
  const judge = async (args: string[], cwd = scratch()) => {
    const { stdout } = await wrap(args, { cwd });
    writeFileSync(join(cwd, 'job.out'), stdout);
    const { status } = await ended(start(['-n', 'job.out'], { cwd, program: 'pegasus-exitcode' }));
    const meta = existsSync(join(cwd, 'job.meta'))
      ? JSON.parse(readFileSync(join(cwd, 'job.meta'), 'utf8'))
      : [];
    return { status, meta };
  };

  test('as the job ended, whatever it printed, and its outputs are those of the workflow', async () => {
    const cwd = scratch();
    const job = 'echo hi >out; echo "raw: 7"; echo "integrity_error: no"';
    const { status, meta } = await judge(['-s', 'out.lfn=out', '/bin/sh', '-c', job], cwd);
    expect(status).toBe(0);
    expect(meta).toMatchObject([{ _id: 'out.lfn', _attributes: { 'checksum.value': sha256('hi\n') } }]);
  });

  test.each([
    [['/bin/false']],
    [['/bin/sh', '-c', 'kill -9 \\$\\$']],
    [['nothing-there']],
    [['-B', '0', '/bin/true']],
  ])('as a failure for %j', async (args) => {
    expect((await judge(args)).status).toBe(1);
  });
});
