import { TransferError, toTransferError } from '../errors.ts';
import { formatLocation, siteKey } from '../location.ts';
import type { Attempt } from '../outcome.ts';
import type { Clock, Consumer, Write } from './consumer.ts';
import { legacyBytes } from './legacy-stats.ts';

/** Sends one request and resolves with its status. Must settle: a post that hangs holds up the end of the run. */
export type Post = (url: string, headers: Readonly<Record<string, string>>, body: string) => Promise<number>;

export interface PanoramaOptions {
  readonly post: Post;
  /** `KICKSTART_MON_ENDPOINT_URL` and, as `user:password`, `KICKSTART_MON_ENDPOINT_CREDENTIALS`. */
  readonly url: string;
  readonly credentials: string | undefined;
  /** `PEGASUS_WF_UUID`, `PEGASUS_DAG_JOB_ID`, `CONDOR_JOBID`. */
  readonly workflow: string | undefined;
  readonly job: string | undefined;
  readonly condorJob: string | undefined;
  /** Fully qualified name of this machine. */
  readonly hostname: string;
  readonly now: Clock;
  /** Takes one line without newline. The run goes on. */
  readonly error: Write;
}

/** Posts under way at once, and waiting; beyond that they are dropped, as an endpoint must not hold up transfers. */
const UNDER_WAY = 4;
const QUEUED = 10_000;

/** Milliseconds that the end of a run gives to what is still queued. */
const CLOSING = 30_000;

/** Tells a monitoring endpoint of every attempt. Closing waits for what is under way. */
export function panorama(options: PanoramaOptions): Consumer {
  const { now, error } = options;
  const missing = missingVariable(options);
  const queue: string[] = [];
  const underWay = new Set<Promise<void>>();
  let dropped = 0;
  let deadline = Number.POSITIVE_INFINITY;
  if (missing !== undefined) error(`reporting to the monitoring endpoint: \`${missing}\` is not set`);
  const headers = {
    authorization: `Basic ${Buffer.from(options.credentials ?? '').toString('base64')}`,
    'content-type': 'application/json',
  };

  async function send(body: string): Promise<void> {
    try {
      const status = await options.post(options.url, headers, body);
      if (status < 200 || status > 299) {
        throw new TransferError('unavailable', `reporting to the monitoring endpoint: status ${status}`);
      }
    } catch (thrown) {
      error(toTransferError(thrown, 'reporting to the monitoring endpoint').message);
    }
  }

  function pump(): void {
    if (queue.length > 0 && now() > deadline) dropped += queue.splice(0).length;
    while (underWay.size < UNDER_WAY) {
      const body = queue.shift();
      if (body === undefined) return;
      const sending = send(body).finally(() => {
        underWay.delete(sending);
        pump();
      });
      underWay.add(sending);
    }
  }

  return {
    event(event) {
      if (missing !== undefined || event.type !== 'item-ended' || event.outcome.kind !== 'transfer') return;
      for (const attempt of event.outcome.attempts) {
        if (queue.length >= QUEUED) dropped++;
        else queue.push(requestBody(attempt, options, now()));
      }
      pump();
    },
    async close() {
      deadline = now() + CLOSING;
      while (underWay.size > 0) await Promise.race(underWay);
      if (dropped > 0) error(`reporting to the monitoring endpoint: ${dropped} attempts were not reported`);
    },
  };
}

function missingVariable(options: PanoramaOptions): string | undefined {
  if (options.credentials === undefined) return 'KICKSTART_MON_ENDPOINT_CREDENTIALS';
  if (options.workflow === undefined) return 'PEGASUS_WF_UUID';
  if (options.job === undefined) return 'PEGASUS_DAG_JOB_ID';
  return options.condorJob === undefined ? 'CONDOR_JOBID' : undefined;
}

function requestBody(attempt: Attempt, options: PanoramaOptions, milliseconds: number): string {
  const bytes = legacyBytes(attempt);
  const fields = [
    `ts=${Math.floor(milliseconds / 1000)}`,
    'event=data_transfer',
    'level=INFO',
    `status=${attempt.failure === undefined ? 0 : 1}`,
    `wf_uuid=${options.workflow}`,
    `dag_job_id=${options.job}`,
    `hostname=${options.hostname}`,
    `condor_job_id=${options.condorJob}`,
    `src_url=${word(formatLocation(attempt.source))}`,
    `src_site_name=${word(siteKey(attempt.source.site))}`,
    `dst_url=${word(formatLocation(attempt.destination))}`,
    `dst_site_name=${word(siteKey(attempt.destination.site))}`,
    `transfer_start_ts=${Math.floor(attempt.started / 1000)}`,
    `transfer_duration=${Math.round(attempt.seconds)}`,
    ...(bytes > 0 ? [`bytes_transferred=${bytes}`] : []),
  ];
  return JSON.stringify({
    properties: {},
    routing_key: options.workflow,
    payload: Buffer.from(`${fields.join(' ')}  `).toString('base64'),
    payload_encoding: 'base64',
  });
}

/** The line is read at its spaces: a path with spaces, or control characters, would add fields. */
function word(text: string): string {
  return text.replace(/[\s\x00-\x1f\x7f]/g, encodeURIComponent);
}
