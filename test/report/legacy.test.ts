import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/outcome.ts';
import { legacyReport, readingLine } from '../../src/report/legacy.ts';
import { legacyLog } from '../../src/report/legacy-log.ts';
import { at, attempt, failed, MISSING, NOON, outcome, REFUSED } from './script.ts';

const RULE = '-'.repeat(80);

/** Lines without their time. */
function said(events: readonly Event[], debug = false): string[] {
  let text = '';
  const log = legacyLog({
    now: () => NOON,
    debug,
    write: (more) => {
      text += more;
    },
  });
  const report = legacyReport({ log, now: () => NOON, path: '/usr/bin', libraryPath: '' });
  events.forEach(report.event);
  report.close();
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => line.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} +/, ''));
}

const START: Event = { type: 'run-started', total: 2 };
const END: Event = { type: 'run-ended', seconds: 4 };
const HEADER = [
  'INFO:  2 transfers loaded',
  'INFO:  PATH=/usr/bin',
  'INFO:  LD_LIBRARY_PATH=',
  `INFO:  ${RULE}`,
];

describe('the log of the drop-in', () => {
  test('has local time with milliseconds and the level in seven columns', () => {
    let text = '';
    const log = legacyLog({
      now: () => new Date(2026, 0, 2, 3, 4, 5, 67).getTime(),
      debug: false,
      write: (more) => {
        text += more;
      },
    });
    log('INFO', readingLine());
    log('INFO', readingLine('list.json'));
    log('ERROR', 'x');
    log('WARNING', 'x');
    log('CRITICAL', 'x');
    log('DEBUG', 'x');
    expect(text.split('\n')).toEqual([
      '2026-01-02 03:04:05,067    INFO:  Reading URL pairs from stdin',
      '2026-01-02 03:04:05,067    INFO:  Reading transfer specification from list.json',
      '2026-01-02 03:04:05,067   ERROR:  x',
      '2026-01-02 03:04:05,067 WARNING:  x',
      '2026-01-02 03:04:05,067 CRITICAL:  x',
      '',
    ]);
  });

  test('of a run that went well is header, round, statistics and verdict', () => {
    const big = outcome({
      index: 1,
      bytes: 3_000_000,
      attempts: [attempt({ source: at('https://d.example/b', 'data-store'), bytes: 3_000_000 })],
    });
    const events: Event[] = [
      START,
      { type: 'round-started', round: 1 },
      { type: 'item-ended', outcome: outcome() },
      { type: 'item-ended', outcome: big },
      END,
    ];
    expect(said(events)).toEqual([
      ...HEADER,
      'INFO:  Starting transfers - attempt 1',
      `INFO:  ${RULE}`,
      'INFO:  Stats: Total 2 transfers, 2.9 MB transferred in 4 seconds. Rate: 732.4 KB/s (5.7 Mb/s)',
      'INFO:         Between sites local->pool_1 : 1 transfers, 14.0 B transferred in 4 seconds. Rate: 3.5 B/s (28.0 b/s)',
      'INFO:         Between sites data_store->pool_1 : 1 transfers, 2.9 MB transferred in 4 seconds. Rate: 732.4 KB/s (5.7 Mb/s)',
      'INFO:  All transfers completed successfully.',
    ]);
  });

  test('P5 names every failed attempt with its hint, counts it, and ends with the verdict', () => {
    const attempts = [attempt({ failure: REFUSED }), attempt({ round: 2, failure: REFUSED })];
    const events: Event[] = [
      START,
      { type: 'round-started', round: 1 },
      { type: 'attempt-ended', index: 0, attempt: attempts[0]! },
      {
        type: 'retry-scheduled',
        index: 0,
        source: at('https://d.example/a'),
        seconds: 3.2,
        round: 2,
        failure: REFUSED,
      },
      { type: 'round-started', round: 2 },
      { type: 'round-started', round: 2 },
      { type: 'attempt-ended', index: 0, attempt: attempts[1]! },
      { type: 'item-ended', outcome: failed(REFUSED, { attempts }) },
      END,
    ];
    expect(said(events).slice(HEADER.length)).toEqual([
      'INFO:  Starting transfers - attempt 1',
      `ERROR:  ${REFUSED.message}`,
      'INFO:  hint: is the server up?',
      'INFO:  Next attempt on https://d.example/a in 4 seconds',
      'INFO:  Starting transfers - attempt 2',
      `ERROR:  ${REFUSED.message}`,
      'INFO:  hint: is the server up?',
      `INFO:  ${RULE}`,
      'INFO:  Stats: Total 2 transfers, 28.0 B transferred in 4 seconds. Rate: 7.0 B/s (56.0 b/s)',
      'INFO:         Between sites local->pool_1 : 2 transfers, 28.0 B transferred in 4 seconds. Rate: 7.0 B/s (56.0 b/s)',
      'CRITICAL:  Some transfers failed! See above, and possibly stderr.',
    ]);
  });

  test('bytes of a failed download do not count', () => {
    const attempts = [attempt({ source: at('https://d.example/a', 'd'), failure: REFUSED, bytes: 9 })];
    expect(said([{ type: 'item-ended', outcome: failed(REFUSED, { attempts }) }, END]).join('\n')).toContain(
      'Stats: Total 1 transfers, 0.0 B transferred',
    );
  });

  test('an item that failed before any attempt is named, too', () => {
    expect(said([{ type: 'item-ended', outcome: failed(MISSING, { attempts: [] }) }])).toEqual([
      `ERROR:  ${MISSING.message}`,
    ]);
  });

  test('monitoring lines come a linkage, and only when something was verified', () => {
    const events: Event[] = [
      { type: 'verified', index: 0, linkage: 'input', success: true, seconds: 0.1 },
      { type: 'verified', index: 1, linkage: 'input', success: false, seconds: 0.0281 },
      { type: 'verified', index: 2, linkage: 'output', success: true, seconds: 0 },
      END,
    ];
    const seconds = Math.floor(NOON / 1000);
    const line = (payload: string) =>
      `INFO:  @@@MONITORING_PAYLOAD - START@@@{"ts": ${seconds}, "monitoring_event": "int.metric", "payload": [${payload}]}@@@MONITORING_PAYLOAD - END@@@`;
    expect(said(events).slice(1, 3)).toEqual([
      line('{"event": "check", "file_type": "input", "succeeded": 1, "failed": 1, "duration": "0.128"}'),
      line('{"event": "check", "file_type": "output", "succeeded": 1, "failed": 0, "duration": "0.000"}'),
    ]);
  });

  test('mkdirs alone have no statistics', () => {
    expect(said([{ type: 'item-ended', outcome: outcome({ kind: 'mkdir' }) }, END])).toEqual([
      `INFO:  ${RULE}`,
      'INFO:  Stats: no local files in the transfer set',
      'INFO:  All transfers completed successfully.',
    ]);
  });

  test.each([
    ['gsiftp://a.example/x', 'gsiftp://b.example/x', true],
    ['s3://u@site/b/x', 's3s://u@site/b/y', true],
    ['symlink:///a', 'symlink:///b', true],
    ['https://a.example/x', 's3://u@site/b/y', false],
    ['file:///a', 'symlink:///b', false],
  ])('statistics from %s to %s are withheld: %s', (from, to, withheld) => {
    const attempts = [attempt({ source: at(from), destination: at(to) })];
    const lines = said([{ type: 'item-ended', outcome: outcome({ attempts }) }, END]);
    expect(lines.includes('INFO:  Unable to provide stats for third party gsiftp/srm transfers')).toBe(
      withheld,
    );
  });

  test('debug lines are there when asked for', () => {
    const events: Event[] = [{ type: 'debug', message: 'route: copy' }];
    expect(said(events, true)).toEqual(['DEBUG:  route: copy']);
    expect(said(events)).toEqual([]);
  });

  test('what else happens is told, each in a line', () => {
    const events: Event[] = [
      { type: 'warning', key: 'k', message: 'mode of key changed' },
      { type: 'breaker-opened', host: 'https://d.example', failures: 9, of: 10 },
      { type: 'host-given-up', host: 'https://d.example' },
      { type: 'host-given-up', host: 'https://e.example' },
      { type: 'resumed', index: 0, from: 7, why: 'the source is the same' },
      { type: 'started-over', index: 0, why: 'the source changed' },
      {
        type: 'item-ended',
        outcome: outcome({ kind: 'remove', status: 'skipped', attempts: [], notes: ['b failed'] }),
      },
    ];
    expect(said(events)).toEqual([
      'WARNING:  mode of key changed',
      'WARNING:  9 of the last 10 tries at https://d.example failed, pausing it',
      'ERROR:  Too many failures to continue trying - exiting early',
      'INFO:  Resuming at byte 7: the source is the same',
      'INFO:  Starting over: the source changed',
      'WARNING:  Skipped remove file:///out/a: b failed',
    ]);
  });

  test('L14 a name cannot forge a line', () => {
    const message = 'x\n2026-01-01 00:00:00,000    INFO:  All transfers completed successfully.';
    expect(said([{ type: 'warning', key: 'k', message }])).toHaveLength(1);
  });
});
