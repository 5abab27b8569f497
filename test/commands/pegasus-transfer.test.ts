import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bridle, type CallOptions, entry, scratch } from './run-command.ts';

const TLS = fileURLToPath(new URL('../../fixtures/tls/', import.meta.url));

/** Runs the drop-in with the list on standard input. */
function dropIn(cwd: string, list: unknown, options: { args?: string[]; env?: CallOptions['env'] } = {}) {
  return bridle(options.args ?? [], {
    cwd,
    program: 'pegasus-transfer',
    input: typeof list === 'string' ? list : JSON.stringify(list),
    ...(options.env ? { env: options.env } : {}),
  });
}

/** What differs from run to run stands still: times, rates and the scratch directory. */
function masked(text: string, cwd: string): string {
  return text
    .replaceAll(cwd, 'CWD')
    .replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}/gm, 'TIME')
    .replace(/PATH=\S*/g, 'PATH=…')
    .replace(/in \d+ seconds. Rate: .*$/gm, 'in N seconds. Rate: …')
    .replace(/"ts": \d+/, '"ts": N')
    .replace(/"duration": "\d+\.\d{3}"/, '"duration": "N"');
}

const RULE = '-'.repeat(80);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** The meta data that the workflow planner ships for a file. */
function meta(lfn: string, value: string): string {
  return JSON.stringify([
    { _type: 'file', _id: lfn, _attributes: { 'checksum.type': 'sha256', 'checksum.value': value } },
  ]);
}

describe('pegasus-transfer says what it always said', () => {
  test('when all is well', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'fourteen bytes');
    const { status, stdout, stderr } = await dropIn(cwd, [
      entry(`file://${cwd}/a`, `file://${cwd}/b`, { site_label: 'x' }),
    ]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(masked(stderr, cwd)).toBe(`TIME    INFO:  Reading URL pairs from stdin
TIME    INFO:  1 transfers loaded
TIME    INFO:  PATH=…
TIME    INFO:  LD_LIBRARY_PATH=…
TIME    INFO:  ${RULE}
TIME    INFO:  Starting transfers - attempt 1
TIME    INFO:  ${RULE}
TIME    INFO:  Stats: Total 1 transfers, 14.0 B transferred in N seconds. Rate: …
TIME    INFO:         Between sites here->there : 1 transfers, 14.0 B transferred in N seconds. Rate: …
TIME    INFO:  All transfers completed successfully.
`);
  });

  test('when one fails: its error, the verdict, status 1', async () => {
    const cwd = scratch();
    const { status, stderr } = await dropIn(cwd, [entry(`file://${cwd}/nope`, `file://${cwd}/b`)]);
    expect(status).toBe(1);
    expect(masked(stderr, cwd)).toContain('TIME   ERROR:  stat `CWD/nope`: no such file or directory\n');
    expect(stderr).toMatch(/ CRITICAL: {2}Some transfers failed! See above, and possibly stderr\.\n$/);
  });

  test('from a text list in a file', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    writeFileSync(join(cwd, 'in'), `# src 1 local\nfile://${cwd}/a\n# dst 1 far-away\nfile://${cwd}/b\n`);
    const { status, stderr } = await dropIn(cwd, '', { args: ['--file', 'in'] });
    expect(status).toBe(0);
    expect(stderr).toContain('INFO:  Reading transfer specification from in\n');
    expect(stderr).toContain('Between sites local->far_away : 1 transfers');
  });
});

describe('its command line', () => {
  const cwd = () => scratch();

  test.each([
    ['long names cut short', ['--thr', '4', '--max=2', '--sym', '--deb']],
    ['values attached or apart', ['-n4', '-n', '4', '-m', '1', '-sd']],
    ['other arguments, which are ignored', ['one', '-n', '1', 'two', '--', '--three']],
    ['no threads, for the default', ['-n', '0']],
  ])('takes %s', async (_, args) => {
    expect(await dropIn(cwd(), '{}', { args })).toMatchObject({ status: 0 });
  });

  test.each([
    ['an unknown option', ['--nope'], 'no such option: --nope'],
    ['an unknown letter', ['-x'], 'no such option: -x'],
    ['bridle’s own options', ['--checksum', 'md5'], 'no such option: --checksum'],
    ['a value that is no number', ['-n', 'x'], '-n: expected a whole number'],
    ['a missing value', ['--file'], '--file: expected a name, got nothing'],
  ])('refuses %s with usage and status 2', async (_, args, message) => {
    const { status, stdout, stderr } = await dropIn(cwd(), '{}', { args });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/^Usage: pegasus-transfer \[options\]\n/);
    expect(stderr).toContain(message);
  });

  test('--help goes to standard output with status 0', async () => {
    const { status, stdout, stderr } = await dropIn(cwd(), '', { args: ['-h'] });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('--max-attempts');
  });

  test.each([
    ['empty input', ''],
    ['a malformed entry', '[{"type":"transfer","src_urls":[{"url":"/a"}],"dest_urls":[]}]'],
    ['a missing list', undefined],
  ])('B1 %s is an error with status 1', async (_, input) => {
    const args = input === undefined ? ['--file', 'nope'] : [];
    const { status, stderr } = await dropIn(cwd(), input ?? '', { args });
    expect(status).toBe(1);
    expect(stderr).toMatch(/ ERROR: {2}(reading|requests\[0\])/);
  });

  test('B1 a thread count in the environment that is no number is an error with status 1', async () => {
    const { status, stderr } = await dropIn(cwd(), '{}', { env: { PEGASUS_TRANSFER_THREADS: 'x' } });
    expect(status).toBe(1);
    expect(stderr).toContain('PEGASUS_TRANSFER_THREADS: expected a whole number, got `x`');
  });
});

describe('its records', () => {
  test('a multipart file with one entry an attempt', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'fourteen bytes');
    mkdirSync(join(cwd, 'parts'));
    const list = [
      entry(`file://${cwd}/a`, `file://${cwd}/b`, { lfn: 'b' }),
      entry(`file://${cwd}/nope`, `file://${cwd}/c`),
    ];
    await dropIn(cwd, list, { env: { PEGASUS_MULTIPART_DIR: join(cwd, 'parts') } });
    const names = readdirSync(join(cwd, 'parts'));
    expect(names).toHaveLength(1);
    expect(names[0]).toMatch(/^\d+-transfer$/);
    const text = readFileSync(join(cwd, 'parts', names[0] as string), 'utf8');
    expect(text).toMatch(/^- transfer_attempts:\n {2}- src_url: /);
    expect(text.match(/success: (True|False)/g)?.sort()).toEqual(['success: False', 'success: True']);
    expect(text).toContain('    lfn: "b"\n    bytes: 14\n');
  });

  test('an integrity block for a name whose checksum was asked for, once a run', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'fourteen bytes');
    const list = [
      entry(`file://${cwd}/a`, `file://${cwd}/b`, { lfn: 'data', generate_checksum: true }),
      entry(`file://${cwd}/a`, `file://${cwd}/c`, { lfn: 'data', generate_checksum: true }),
      entry(`file://${cwd}/a`, `file://${cwd}/d`, { lfn: 'other' }),
    ];
    await dropIn(cwd, list, { env: { KICKSTART_INTEGRITY_DATA: join(cwd, 'blocks') } });
    const text = readFileSync(join(cwd, 'blocks'), 'utf8');
    expect(text.match(/^ {4}"data":$/gm)).toHaveLength(1);
    expect(text).not.toContain('other');
    expect(text).toContain(`      file_name: "${cwd}/a"\n`);
    expect(text).toContain(`      inode: ${statSync(join(cwd, 'a')).ino}\n`);
    expect(text).toContain(`      output: True\n      sha256: ${sha256('fourteen bytes')}\n`);
  });

  test('the integrity block in the log, without a file for it', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const list = [entry(`file://${cwd}/a`, `file://${cwd}/b`, { lfn: 'data', generate_checksum: true })];
    expect((await dropIn(cwd, list)).stderr).toContain('    "data":\n      comment: entry generated');
  });

  test('the place of a file that was moved, on standard output', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const { stdout } = await dropIn(cwd, [entry(`file://${cwd}/a`, `moveto://${cwd}/b`)]);
    expect(stdout).toBe(`${cwd}/b\n`);
    expect(existsSync(join(cwd, 'a'))).toBe(false);
  });

  test.each(['http', 'https'])('a report of each attempt to the monitoring endpoint, %s', async (scheme) => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const posts: { auth: string | undefined; body: string }[] = [];
    const answer: RequestListener = async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      posts.push({ auth: request.headers.authorization, body });
      response.end();
    };
    const keys = { key: readFileSync(join(TLS, 'server.key')), cert: readFileSync(join(TLS, 'server.pem')) };
    const endpoint = scheme === 'http' ? createServer(answer) : createSecureServer(keys, answer);
    await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
    const { port } = endpoint.address() as AddressInfo;
    const env = {
      SSL_CERT_FILE: join(TLS, 'ca.pem'),
      KICKSTART_MON_ENDPOINT_URL: `${scheme}://127.0.0.1:${port}/`,
      KICKSTART_MON_ENDPOINT_CREDENTIALS: 'user:MARK-password',
      PEGASUS_WF_UUID: 'wf',
      PEGASUS_DAG_JOB_ID: 'job',
      CONDOR_JOBID: '1.0',
    };
    const { status, stderr } = await dropIn(cwd, [entry(`file://${cwd}/a`, `file://${cwd}/b`)], { env });
    endpoint.closeAllConnections();
    endpoint.close();
    expect(status).toBe(0);
    expect(stderr).not.toContain('MARK');
    expect(posts).toHaveLength(1);
    expect(posts[0]?.auth).toBe(`Basic ${Buffer.from('user:MARK-password').toString('base64')}`);
    const payload = Buffer.from(JSON.parse(posts[0]?.body ?? '{}').payload, 'base64').toString();
    expect(payload).toContain('event=data_transfer level=INFO status=0 wf_uuid=wf dag_job_id=job');
  });
});

describe('verify_checksum_remote', () => {
  const verified = (cwd: string) => [
    entry(`file://${cwd}/a`, `file://${cwd}/b`, {
      lfn: 'data',
      linkage: 'output',
      verify_checksum_remote: true,
    }),
  ];

  test('succeeds when the meta data has the digest of what arrived', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'content');
    writeFileSync(join(cwd, 'x.meta'), meta('data', sha256('content')));
    const { status, stderr } = await dropIn(cwd, verified(cwd));
    expect(status).toBe(0);
    expect(masked(stderr, cwd)).toContain(
      '@@@MONITORING_PAYLOAD - START@@@{"ts": N, "monitoring_event": "int.metric", "payload": [{"event": "check", "file_type": "output", "succeeded": 1, "failed": 0, "duration": "N"}]}@@@MONITORING_PAYLOAD - END@@@',
    );
  });

  test.each([
    ['another digest', () => meta('data', sha256('other')), 'expected sha256'],
    [
      'none for the name',
      () => meta('another', sha256('content')),
      'no checksum in the meta data for `data`',
    ],
    ['nothing that can be read', () => '{{{', 'Error parsing the meta data'],
  ])('fails when the meta data has %s', async (_, text, message) => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'content');
    writeFileSync(join(cwd, 'x.meta'), text());
    const { status, stderr } = await dropIn(cwd, verified(cwd), { args: ['-m', '1'] });
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(existsSync(join(cwd, 'b'))).toBe(false);
  });

  test('notices every destination that PEGASUS_TRANSFER_ERROR_RATE spoils', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'content');
    writeFileSync(join(cwd, 'x.meta'), meta('data', sha256('content')));
    const env = { PEGASUS_TRANSFER_ERROR_RATE: '100' };
    expect(await dropIn(cwd, verified(cwd), { args: ['-m', '1'], env })).toMatchObject({ status: 1 });
    const unverified = [entry(`file://${cwd}/a`, `file://${cwd}/c`)];
    expect(await dropIn(cwd, unverified, { env })).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'c'), 'utf8')).toBe('contentHere be dragons! Eh, I mean pegai!');
  });
});

describe('what the original could not', () => {
  test('D3 D5 mixed kinds, several directories and a destination that cannot be made', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const target = (url: string) => ({ site_label: 'here', url: `file://${cwd}/${url}` });
    const list = [
      { type: 'mkdir', target: target('d/1') },
      { type: 'mkdir', target: target('d/2') },
      entry(`file://${cwd}/a`, `file://${cwd}/a/below/a/file`),
      entry(`file://${cwd}/a`, `file://${cwd}/d/1/a`),
      { type: 'remove', target: { ...target('a'), recursive: 'False' } },
    ];
    const { status, stderr } = await dropIn(cwd, list);
    expect(status).toBe(1);
    expect(stderr).toContain('WARNING:  Skipped remove');
    expect([
      existsSync(join(cwd, 'd/1/a')),
      existsSync(join(cwd, 'd/2')),
      existsSync(join(cwd, 'a')),
    ]).toEqual([true, true, true]);
  });

  test('B4 a destination named twice is tolerated, as it was', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const one = entry(`file://${cwd}/a`, `file://${cwd}/b`);
    expect(await dropIn(cwd, [one, one])).toMatchObject({ status: 0 });
  });
});
