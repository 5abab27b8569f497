import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/outcome.ts';
import { type PanoramaOptions, type Post, panorama } from '../../src/report/panorama.ts';
import { at, attempt, NOON, outcome, REFUSED } from './script.ts';

interface Posted {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function run(outcomes: readonly Outcome[], post: Post, some: Partial<PanoramaOptions> = {}) {
  const errors: string[] = [];
  const consumer = panorama({
    post,
    url: 'https://monitor.example/x',
    credentials: 'user:pass',
    workflow: 'wf-1',
    job: 'stage_in_0',
    condorJob: '42.0',
    hostname: 'node.example',
    now: () => NOON,
    error: (line) => errors.push(line),
    ...some,
  });
  for (const each of outcomes) consumer.event({ type: 'item-ended', outcome: each });
  await consumer.close();
  return errors;
}

function collect(status = 200) {
  const posted: Posted[] = [];
  const post: Post = async (url, headers, body) => {
    posted.push({ url, headers, body });
    return status;
  };
  return {
    posted,
    post,
    payloads: () => posted.map(({ body }) => Buffer.from(JSON.parse(body).payload, 'base64').toString()),
  };
}

describe('the monitoring endpoint', () => {
  test('is told of every attempt, in the layout it reads', async () => {
    const { posted, post, payloads } = collect();
    const attempts = [
      attempt({ source: at('https://d.example/a', 'data-store'), failure: REFUSED, bytes: 3, seconds: 1.6 }),
      attempt(),
    ];
    expect(await run([outcome({ attempts })], post)).toEqual([]);
    const common = 'wf_uuid=wf-1 dag_job_id=stage_in_0 hostname=node.example condor_job_id=42.0';
    const [ts, start] = [Math.floor(NOON / 1000), Math.floor(NOON / 1000)];
    expect(payloads()).toEqual([
      `ts=${ts} event=data_transfer level=INFO status=1 ${common} src_url=https://d.example/a src_site_name=data_store dst_url=file:///out/a dst_site_name=pool_1 transfer_start_ts=${start} transfer_duration=2  `,
      `ts=${ts} event=data_transfer level=INFO status=0 ${common} src_url=file:///in/a src_site_name=local dst_url=file:///out/a dst_site_name=pool_1 transfer_start_ts=${start} transfer_duration=0 bytes_transferred=14  `,
    ]);
    expect(posted[0]?.url).toBe('https://monitor.example/x');
    expect(posted[0]?.headers.authorization).toBe('Basic dXNlcjpwYXNz');
    expect(JSON.parse(posted[0]!.body)).toMatchObject({
      properties: {},
      routing_key: 'wf-1',
      payload_encoding: 'base64',
    });
  });

  test('L14 a path with spaces and newlines adds no field', async () => {
    const { post, payloads } = collect();
    const source = { scheme: 'file', authority: '', path: '/a status=0\nx', site: 's t' };
    await run([outcome({ attempts: [attempt({ source })] })], post);
    expect(payloads()[0]).toContain('src_url=file:///a%20status=0%0Ax src_site_name=s%20t ');
  });

  test('that refuses, or cannot be reached, is a log line each', async () => {
    expect(await run([outcome()], collect(403).post)).toEqual([
      'reporting to the monitoring endpoint: status 403',
    ]);
    const unreachable: Post = async () => {
      throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    };
    expect(await run([outcome()], unreachable)).toEqual([
      'reporting to the monitoring endpoint: connection refused',
    ]);
  });

  test('without its variables is a log line, and no request', async () => {
    const { posted, post } = collect();
    expect(await run([outcome()], post, { job: undefined })).toEqual([
      'reporting to the monitoring endpoint: `PEGASUS_DAG_JOB_ID` is not set',
    ]);
    expect(posted).toEqual([]);
  });

  test('gets a bounded number of requests at once, and all of them before the end', async () => {
    let [now, most, done] = [0, 0, 0];
    const post: Post = async () => {
      most = Math.max(most, ++now);
      await new Promise(setImmediate);
      now--;
      done++;
      return 200;
    };
    await run(
      Array.from({ length: 100 }, () => outcome()),
      post,
    );
    expect([most, done]).toEqual([4, 100]);
  });

  test('P11 that is slower than the transfers drops records beyond a bound, and says how many', async () => {
    const { posted, post } = collect();
    expect(
      await run(
        Array.from({ length: 10_104 }, () => outcome()),
        post,
      ),
    ).toEqual(['reporting to the monitoring endpoint: 100 attempts were not reported']);
    expect(posted).toHaveLength(10_004);
  });

  test('P7 that stays slow does not hold up the end', async () => {
    let time = NOON;
    let count = 0;
    const post: Post = async () => {
      count++;
      time += 40_000;
      return 200;
    };
    const errors = await run(
      Array.from({ length: 100 }, () => outcome()),
      post,
      { now: () => time },
    );
    expect(count).toBeLessThan(10);
    expect(errors.at(-1)).toMatch(/\d+ attempts were not reported/);
  });
});
