import { hostname } from 'node:os';
import type { Event } from '../outcome.ts';
import type { Consumer } from '../report/consumer.ts';
import { legacyReport } from '../report/legacy.ts';
import type { LegacyLog } from '../report/legacy-log.ts';
import type { Request } from '../request.ts';
import { type Audience, asOne } from './audience.ts';
import type { Io } from './io.ts';
import { openHttp, type ServiceValues } from './session.ts';

/** Directories that the original added for the programs it called; its log names them. */
const ADDED_PATH = ':/usr/bin:/bin:/usr/sbin';

export interface LegacyAudience extends Audience {
  /** Told of every request before it runs, so that its outcome is recorded as it asked. */
  readonly note: (request: Request) => void;
}

/** The drop-in's log, and the records that the other programs of a workflow read. */
export async function gatherLegacy(log: LegacyLog, values: ServiceValues, io: Io): Promise<LegacyAudience> {
  const { env } = io;
  const error = (message: string) => log('ERROR', message);
  const wanted = new Set<number>();
  const consumers: Consumer[] = [
    legacyReport({
      log,
      now: Date.now,
      path: `${env.PATH ?? ''}${ADDED_PATH}`,
      libraryPath: env.LD_LIBRARY_PATH ?? '',
    }),
    { event: (event) => printMoved(event, io), close() {} },
  ];
  if (env.PEGASUS_MULTIPART_DIR) {
    const { multipartRecord } = await import('../report/multipart.ts');
    consumers.push(multipartRecord({ directory: env.PEGASUS_MULTIPART_DIR, now: Date.now, error }));
  }
  if (env.KICKSTART_MON_ENDPOINT_URL)
    consumers.push(await openPanorama(env.KICKSTART_MON_ENDPOINT_URL, values, error, io));
  let integrity: Consumer | undefined;
  const { integrityData } = await import('../report/integrity-data.ts');
  const integrityOf = () =>
    integrityData({
      ...(env.KICKSTART_INTEGRITY_DATA ? { file: env.KICKSTART_INTEGRITY_DATA } : {}),
      write: io.err,
      error,
      wants: (index) => wanted.delete(index),
    });
  consumers.push({
    event(event) {
      if (wanted.size === 0 || event.type !== 'item-ended') return;
      integrity ??= integrityOf();
      integrity.event(event);
      wanted.delete(event.outcome.index);
    },
    close: () => integrity?.close(),
  });
  return {
    ...asOne(consumers),
    note(request) {
      if (request.kind === 'transfer' && request.generateChecksum) wanted.add(request.index);
    },
  };
}

/** Standard output holds nothing but the places that files were moved to. */
function printMoved(event: Event, io: Io): void {
  if (event.type !== 'attempt-ended' || event.attempt.route !== 'move' || event.attempt.failure) return;
  io.out(`${event.attempt.destination.path}\n`);
}

/** Milliseconds that one report to the monitoring endpoint may take. */
const POST_MS = 10_000;

async function openPanorama(
  url: string,
  values: ServiceValues,
  error: (message: string) => void,
  { env }: Io,
): Promise<Consumer> {
  const { panorama } = await import('../report/panorama.ts');
  const http = openHttp(values, { env, connections: 4, warn: (_, message) => error(message) });
  const reports = panorama({
    url,
    credentials: env.KICKSTART_MON_ENDPOINT_CREDENTIALS,
    workflow: env.PEGASUS_WF_UUID,
    job: env.PEGASUS_DAG_JOB_ID,
    condorJob: env.CONDOR_JOBID,
    hostname: hostname(),
    now: Date.now,
    error,
    async post(to, headers, text) {
      const bytes = Buffer.from(text);
      const response = await http.send({
        method: 'POST',
        url: to,
        headers,
        body: once(bytes),
        size: bytes.length,
        signal: AbortSignal.timeout(POST_MS),
      });
      await response.discard();
      return response.status;
    },
  });
  return {
    event: reports.event,
    async close() {
      await reports.close();
      await http.close();
    },
  };
}

async function* once(bytes: Uint8Array) {
  yield bytes;
}
