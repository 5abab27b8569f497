import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { outputEntry, type RecordParts, yamlRecord } from '../job/record-text.ts';
import { type CallOptions, ended, scratch, start } from './run-command.ts';

const DIGEST = 'b4202d6eb7c452d979e21821b0a256211d4253b12dd6c429bb9f2c88fd5461d2';

async function exitcode(args: readonly string[], options: CallOptions) {
  const result = await ended(start(args, { program: 'pegasus-exitcode', ...options }));
  const line = result.stdout.trimEnd().split('\n').at(-1) ?? '';
  return { ...result, line: line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : {} };
}

/** A directory with `job.out` and, when given, `job.err`. */
function job(out: string, err?: string): string {
  const cwd = scratch();
  writeFileSync(join(cwd, 'job.out'), out);
  if (err !== undefined) writeFileSync(join(cwd, 'job.err'), err);
  return cwd;
}

const judged = async (parts: RecordParts) => exitcode(['job.out'], { cwd: job(yamlRecord(parts)) });

describe('pegasus-exitcode', () => {
  test('a job that went well: renamed output, metadata, one line of JSON, exit status 0', async () => {
    const cwd = job(yamlRecord({ files: outputEntry('out.dat', DIGEST) }), 'words\n');
    const { status, stdout, line } = await exitcode(['-r', '0', '-R', '2', 'job.out'], { cwd });
    expect(status).toBe(0);
    expect(readdirSync(cwd).sort()).toEqual(['job.err.000', 'job.meta', 'job.out.000']);
    expect(line).toMatchObject({ name: 'job.out', exitcode: 0, app_exitcode: 0, retry: 0, job_retry: 2 });
    expect(stdout).toMatch(
      /^\{"name": "job\.out", "timestamp": "\d{4}-\d\d-\d\dT[\d:.]{15}", "exitcode": 0, /,
    );
    expect(JSON.parse(readFileSync(join(cwd, 'job.meta'), 'utf8'))).toEqual([
      {
        _type: 'file',
        _id: 'out.dat',
        _attributes: {
          user: 'ana',
          size: '8',
          ctime: '2026-11-22T10:02:07+00:00',
          'checksum.type': 'sha256',
          'checksum.value': DIGEST,
          'checksum.timing': '0.00',
        },
      },
    ]);
  });

  test('its metadata is what pegasus-integrity verifies by', async () => {
    const cwd = job(yamlRecord({ files: outputEntry('job.txt', DIGEST) }));
    writeFileSync(join(cwd, 'job.txt'), 'other');
    await exitcode(['-n', 'job.out'], { cwd });
    const verified = await ended(start(['--verify=job.txt'], { program: 'pegasus-integrity', cwd }));
    expect(verified.status).toBe(1);
    expect(verified.stdout).toContain(`Expected checksum (${DIGEST}) does not match`);
  });

  test('a job without outputs has an empty list, so that its children find a file', async () => {
    const cwd = job(yamlRecord({}));
    expect((await exitcode(['job.out'], { cwd })).status).toBe(0);
    expect(readFileSync(join(cwd, 'job.meta'), 'utf8')).toBe('[]');
  });

  test('each retry has a number of its own', async () => {
    const cwd = job(yamlRecord({}));
    await exitcode(['job.out'], { cwd });
    writeFileSync(join(cwd, 'job.out'), yamlRecord({}));
    const { line } = await exitcode(['job.out'], { cwd });
    expect(line.retry).toBe(1);
    expect(readdirSync(cwd).sort()).toEqual(['job.meta', 'job.out.000', 'job.out.001']);
  });

  test('-n leaves the names, -N writes no metadata', async () => {
    const cwd = job(yamlRecord({}));
    const { status, line } = await exitcode(['-nN', 'job.out'], { cwd });
    expect({ status, retry: line.retry, names: readdirSync(cwd) }).toEqual({
      status: 0,
      retry: null,
      names: ['job.out'],
    });
  });

  test.each<[string, RecordParts, string, number | null]>([
    ['a main job that failed', { raw: { mainjob: 256 } }, 'task exited with raw status 256 (mainjob)', 256],
    ['one that a signal ended', { raw: { mainjob: 9 } }, 'task exited with raw status 9 (mainjob)', 9],
    [
      'one that could not be started',
      { raw: { mainjob: -127 } },
      'task exited with raw status -127 (mainjob)',
      -127,
    ],
    [
      'one that could not be started after a setup that went well',
      { raw: { setup: 0, mainjob: -127 } },
      'raw status -127',
      -127,
    ],
    [
      'a cleanup that failed',
      { raw: { mainjob: 0, cleanup: 256 } },
      'task exited with raw status 256 (cleanup)',
      256,
    ],
    ['no job at all', { raw: {} }, 'No successful kickstart records', null],
    [
      'an output without a digest',
      { files: outputEntry('a', DIGEST, '  integrity_error: failed creating a checksum\n') },
      'detected integrity creation errors in the job',
      null,
    ],
  ])('%s fails it', async (_, parts, problem, status) => {
    const result = await judged(parts);
    expect(result.status).toBe(1);
    expect(result.stdout).toContain(problem);
    expect(result.line).toMatchObject({ exitcode: 1, app_exitcode: status });
  });

  test('a setup that could not be started does not fail it', async () => {
    expect((await judged({ raw: { setup: -127, mainjob: 0 } })).status).toBe(0);
  });

  test('S13 a job that prints what failed records look like did not fail', async () => {
    const printed =
      'raw: 7\nintegrity_error: no\n<status raw="1"></status>\n[cluster-summary stat="bad"]\n- invocation: True';
    expect((await judged({ printed })).status).toBe(0);
  });

  test('S13 a job that prints what good records look like does not hide that it failed', async () => {
    expect((await judged({ raw: { mainjob: 256 }, printed: yamlRecord({}) })).status).toBe(1);
  });

  test.each([
    ['nothing', '', 'Empty stdout'],
    ['no record', 'Hello\n', 'No successful kickstart records'],
    ['a record that was cut off', yamlRecord({}).slice(0, 190), 'the invocation record in line 1'],
    ['one record that tells of no job', yamlRecord({}) + yamlRecord({ raw: {} }), 'tells of no job'],
    ['tasks of a cluster without their summary', '[cluster-task id=1]\n', 'cluster-summary is missing'],
    [
      'a summary with failures',
      '[cluster-summary stat="ok", tasks=2, failed=1]\n',
      'cluster-summary failed=1',
    ],
    ['half a summary', '[cluster-summary stat="ok", ta', 'invalid cluster-summary record'],
  ])('an output with %s fails it', async (_, out, problem) => {
    const { status, stdout } = await exitcode(['job.out'], { cwd: job(out) });
    expect(status).toBe(1);
    expect(stdout).toContain(problem);
  });

  test('the summary of a cluster counts before the records of its tasks', async () => {
    const out = `${yamlRecord({ raw: { mainjob: 256 } })}[cluster-summary stat="ok", tasks=1, succeeded=1, failed=0]\n`;
    expect((await exitcode(['job.out'], { cwd: job(out) })).status).toBe(0);
  });

  test('-I asks for no records: a job without the wrapper may print anything, or nothing', async () => {
    for (const out of ['', 'Hello\n']) {
      expect((await exitcode(['-I', 'job.out'], { cwd: job(out) })).status).toBe(0);
    }
  });

  test('DAGMan’s exit code counts before everything but the names', async () => {
    const { status, stdout, line } = await exitcode(['-r', '3', 'job.out'], { cwd: job(yamlRecord({})) });
    expect({ status, app: line.app_exitcode, retry: line.retry }).toEqual({ status: 1, app: 3, retry: 0 });
    expect(stdout).toContain('dagman reported non-zero exitcode: 3\n');
    expect((await exitcode(['-r', '-9', 'job.out'], { cwd: job(yamlRecord({})) })).line.app_exitcode).toBe(
      -9,
    );
  });

  test('messages: none of the bad ones, all of the good ones, in either file, with + for a blank', async () => {
    const out = yamlRecord({ printed: 'a+b happened' });
    const err = 'PegasusLite: exitcode 0\n';
    const tried = async (...args: string[]) =>
      (await exitcode([...args, 'job.out'], { cwd: job(out, err) })).status;
    expect(await tried('-s', 'PegasusLite:+exitcode+0', '-s', 'a\\+b')).toBe(0);
    expect(await tried('-s', 'PegasusLite:+exitcode+1')).toBe(1);
    expect(await tried('-f', 'a\\+b+happened')).toBe(1);
    expect(await tried('-f', 'never')).toBe(0);
  });

  test('-l puts everything into one line of a file that others write to, too; -M into a catalog', async () => {
    const cwd = job(yamlRecord({ files: outputEntry('a b', DIGEST).replace('a b:', '"a b":') }));
    const good = await exitcode(['-l', 'all.log', '-M', 'rc.txt', 'job.out'], { cwd });
    const bad = await exitcode(['-l', 'all.log', '-U', 'job.out'], { cwd });
    expect([good.stdout, bad.stdout, good.status, bad.status]).toEqual(['', '', 0, 1]);
    const lines = readFileSync(join(cwd, 'all.log'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { exitcode: 0, std_out: '', std_err: '' },
      {
        exitcode: 1,
        std_err:
          'job.out does not exist\n submit file was not updated: its expressions are not evaluated here\n ',
      },
    ]);
    expect(readFileSync(join(cwd, 'rc.txt'), 'utf8')).toBe(
      `"a b" @@PFN@@ user="ana" size="8" ctime="2026-11-22T10:02:07+00:00" checksum.type="sha256" checksum.value="${DIGEST}" checksum.timing="0.00"\n`,
    );
  });

  test('S4 a name with the end of a line adds no line of its own to a catalog, and is told', async () => {
    const files = outputEntry('x', DIGEST).replace('x:', '"a\\nb":').replace('lfn: "x"', 'lfn: "a\\nb"');
    const cwd = job(yamlRecord({ files }));
    const { status, stdout } = await exitcode(['-M', 'rc.txt', 'job.out'], { cwd });
    expect(status).toBe(1);
    expect(stdout).toContain('no way to write the end of a line');
    expect(readdirSync(cwd)).not.toContain('rc.txt');
  });

  test('a file of another name is refused and left alone', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'job.log'), yamlRecord({}));
    const { status, stdout } = await exitcode(['job.log'], { cwd });
    expect(status).toBe(1);
    expect(stdout).toContain('job.log does not look like a kickstart .out file');
    expect(readdirSync(cwd)).toEqual(['job.log']);
  });

  test('metadata that cannot be kept fails the job: its children could not verify what they read', async () => {
    const cwd = job(yamlRecord({ files: outputEntry('a', DIGEST) }));
    mkdirSync(join(cwd, 'job.meta'));
    const { status, stdout } = await exitcode(['job.out'], { cwd });
    expect(status).toBe(1);
    expect(stdout).toContain('writing `job.meta`');
  });

  test.each([
    [[], 'expected one job.out, got 0 names'],
    [['a.out', 'b.out'], 'expected one job.out, got 2 names'],
    [['-r', 'x', 'a.out'], '-r: expected a whole number, got `x`'],
    [['--nothing', 'a.out'], 'no such option: --nothing'],
  ])('%s is a mistake of the call', async (args, message) => {
    const { status, stderr } = await exitcode(args, { cwd: scratch() });
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  test('--help tells the options', async () => {
    const { status, stdout } = await exitcode(['--help'], { cwd: scratch() });
    expect(status).toBe(0);
    expect(stdout).toContain('-M, --metadata-log FILE');
  });
});
