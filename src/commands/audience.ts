import type { Emit, Event } from '../outcome.ts';
import type { Consumer } from '../report/consumer.ts';
import { summary } from '../report/summary.ts';
import type { Io } from './io.ts';
import type { RunValues } from './settings.ts';
import { VERSION } from './version.ts';

/** Everyone who reads a run, as one. */
export interface Audience {
  readonly emit: Emit;
  /** Items that did not end well. */
  failed(): number;
  /** Nobody reads standard output, the destination, any more. */
  readerLeft(): boolean;
  /** Call once, after the last event. */
  close(): Promise<void>;
}

export type Voice = Pick<RunValues, 'quiet' | 'debug'> &
  Partial<
    Pick<RunValues, 'report' | 'receipts' | 'writeChecksums' | 'checksumsFormat' | 'blocks' | 'events'>
  >;

/** Progress, summary and the reports that were asked for. */
export async function gather(voice: Voice, io: Io): Promise<Audience> {
  const consumers: Consumer[] = [];
  let above = io.err;
  if (!voice.quiet) {
    const { showProgress } = await import('./show-progress.ts');
    const shown = showProgress(io);
    consumers.push(shown);
    above = shown.above;
  }
  if (voice.debug) {
    const { debugLines } = await import('./debug-lines.ts');
    consumers.push(debugLines(above));
  }
  if (voice.report !== undefined) {
    const [{ jsonReport }, { openReportFile }] = await Promise.all([
      import('../report/json.ts'),
      import('../report/report-file.ts'),
    ]);
    consumers.push(jsonReport({ file: openReportFile(voice.report), version: VERSION, now: Date.now }));
  }
  if (voice.receipts !== undefined) {
    const { receiptsFile } = await import('../report/receipts-file.ts');
    const options = { path: voice.receipts, version: VERSION, now: Date.now, warn: above };
    consumers.push(await receiptsFile(options));
  }
  if (voice.writeChecksums !== undefined) {
    const { checksumsFile } = await import('../report/checksums-file.ts');
    const { writeChecksums: path, checksumsFormat: format } = voice;
    consumers.push(checksumsFile({ path, format, warn: above }));
  }
  if (voice.blocks !== undefined) {
    const { checksumsFile } = await import('../report/checksums-file.ts');
    const options = { path: voice.blocks, format: 'json', blocks: true } as const;
    consumers.push(checksumsFile({ ...options, warn: above }));
  }
  if (voice.events !== undefined) {
    const { openEvents } = await import('./open-events.ts');
    consumers.push(openEvents(voice.events, io));
  }
  const audience = asOne(consumers);
  const told = summarize(voice, above, audience.failed);
  let readerLeft = false;
  return {
    emit(event) {
      readerLeft ||= isReaderLeaving(event);
      audience.emit(event);
      told.event(event);
    },
    failed: audience.failed,
    readerLeft: () => readerLeft,
    async close() {
      // The display is wiped before the last words, and a report that fails must not take them away.
      try {
        await audience.close();
      } finally {
        if (!readerLeft) told.close();
      }
    },
  };
}

/** The reader of standard output has had enough: no failure to tell of. */
function isReaderLeaving(event: Event): boolean {
  if (event.type !== 'item-ended') return false;
  const { destination, status, failure } = event.outcome;
  return destination.scheme === 'stdio' && status === 'failed' && failure?.code === 'canceled';
}

/** Hands every event to every consumer; a warning only the first time. */
export function asOne(consumers: readonly Consumer[]): Audience {
  const warned = new Set<string>();
  let failed = 0;
  return {
    emit(event: Event) {
      if (event.type === 'warning') {
        if (warned.has(event.key)) return;
        warned.add(event.key);
      } else if (event.type === 'item-ended') {
        const { status } = event.outcome;
        if (status !== 'done' && status !== 'skipped') failed += 1;
      }
      for (const consumer of consumers) consumer.event(event);
    },
    failed: () => failed,
    readerLeft: () => false,
    async close() {
      const ends = await Promise.allSettled(consumers.map(async (consumer) => consumer.close()));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },
  };
}

/** With `--quiet` the end is told only when something failed. */
function summarize(voice: Voice, write: (text: string) => void, failed: () => number): Consumer {
  let ending = false;
  const told = summary({
    write: (text) => {
      if (!ending || !voice.quiet || failed() > 0) write(text);
    },
    ...(voice.report === undefined ? {} : { reportPath: voice.report }),
  });
  return {
    event: told.event,
    close() {
      ending = true;
      told.close();
    },
  };
}
