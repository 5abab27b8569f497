import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Event } from '../../src/outcome.ts';
import type { Consumer } from '../../src/report/consumer.ts';
import { eventLines } from '../../src/report/event-lines.ts';
import { integrityData } from '../../src/report/integrity-data.ts';
import { jsonReport } from '../../src/report/json.ts';
import { legacyReport } from '../../src/report/legacy.ts';
import { legacyLog } from '../../src/report/legacy-log.ts';
import { multipartRecord } from '../../src/report/multipart.ts';
import { panorama } from '../../src/report/panorama.ts';
import { openPartialFile } from '../../src/report/partial-file.ts';
import { progress } from '../../src/report/progress.ts';
import { summary } from '../../src/report/summary.ts';
import { at, attempt, failed, NOON, outcome, REFUSED } from './script.ts';

const MARK = 'm4rk3d';

test('P10 S5 no consumer shows a secret that a URL or a variable carried', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bridle-redaction-'));
  const now = () => NOON;
  let output = '';
  const write = (text: string): void => {
    output += text;
  };
  let beat = (): void => {};
  const every = (_: number, callback: () => void): (() => void) => {
    beat = callback;
    return () => {};
  };
  const credentials = `user:${MARK}`;
  const consumers: Consumer[] = [
    progress({ write, now, every, isTTY: true, colour: true, width: () => 200 }),
    summary({ write }),
    eventLines({ write, now }),
    jsonReport({ file: openPartialFile(join(directory, 'report.json')), version: '1', now }),
    legacyReport({ log: legacyLog({ write, now, debug: true }), now, path: '', libraryPath: '' }),
    multipartRecord({ directory, now, error: write }),
    integrityData({ file: join(directory, 'data'), write, error: write, wants: () => true }),
    panorama({
      // The header alone carries it, to the endpoint it belongs to.
      post: async (url, _, body) => {
        write(url + Buffer.from(JSON.parse(body).payload, 'base64').toString());
        throw new Error('refused');
      },
      url: 'https://monitor.example/x',
      credentials,
      workflow: 'w',
      job: 'j',
      condorJob: 'c',
      hostname: 'h',
      now,
      error: write,
    }),
  ];
  const source = at(`https://user:${MARK}@d.example/a?X-Amz-Signature=${MARK}&x=1`);
  const destination = at(`webdavs://${MARK}:${MARK}@e.example/b?token=${MARK}`);
  const attempts = [attempt({ source, destination, failure: REFUSED })];
  const events: Event[] = [
    { type: 'run-started', total: 2 },
    { type: 'round-started', round: 1 },
    { type: 'item-started', index: 0, source, destination },
    { type: 'attempt-ended', index: 0, attempt: attempts[0]! },
    { type: 'retry-scheduled', index: 0, source, seconds: 1, round: 2, failure: REFUSED },
    { type: 'item-ended', outcome: failed(REFUSED, { source, destination, attempts }) },
    { type: 'item-ended', outcome: outcome({ source, destination, attempts }) },
    { type: 'run-ended', seconds: 1 },
  ];
  for (const event of events) {
    for (const consumer of consumers) consumer.event(event);
    beat();
  }
  for (const consumer of consumers) await consumer.close();
  for (const name of readdirSync(directory)) output += name + readFileSync(join(directory, name), 'utf8');
  rmSync(directory, { recursive: true });
  expect(output).toContain('https://d.example/a');
  expect(output).toContain('webdavs://e.example/b');
  expect(output).not.toContain(MARK);
  expect(output).not.toContain(Buffer.from(credentials).toString('base64'));
});
