import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import type { Event } from '../../src/outcome.ts';
import { eventLines } from '../../src/report/event-lines.ts';
import { jsonReport } from '../../src/report/json.ts';
import { openPartialFile } from '../../src/report/partial-file.ts';
import { openReportFile } from '../../src/report/report-file.ts';
import { at, attempt, failed, MISSING, NOON, outcome, REFUSED } from './script.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bridle-report-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function clock(): () => number {
  let time = NOON;
  return () => {
    time += 1000;
    return time - 1000;
  };
}

describe('the JSON report', () => {
  test('holds every outcome with both verifications, and totals', () => {
    const path = join(directory, 'report.json');
    const report = jsonReport({ file: openPartialFile(path), version: '1.2.3', now: clock() });
    report.event({ type: 'run-started', total: 2 });
    report.event({ type: 'item-ended', outcome: outcome({ resumedFrom: 4, notes: ['went on at byte 4'] }) });
    report.event({ type: 'item-ended', outcome: failed(MISSING, { index: 1, wasVisible: true }) });
    report.event({ type: 'run-ended', seconds: 0.5 });
    expect(readdirSync(directory)).not.toContain('report.json');
    report.close();
    expect(readdirSync(directory)).toEqual(['report.json']);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchInlineSnapshot(`
      {
        "bridle": "1.2.3",
        "ended": "2026-11-22T09:55:39.234Z",
        "outcomes": [
          {
            "attempts": [
              {
                "bytes": 14,
                "destination": {
                  "site": "pool-1",
                  "url": "file:///out/a",
                },
                "round": 1,
                "route": "stream",
                "seconds": 0.25,
                "source": {
                  "site": "local",
                  "url": "file:///in/a",
                },
                "started": "2026-11-22T09:55:38.234Z",
              },
            ],
            "bytes": 14,
            "destination": {
              "site": "pool-1",
              "url": "file:///out/a",
            },
            "digests": {
              "sha256": "abababababababababababababababababababababababababababababababab",
            },
            "index": 0,
            "kind": "transfer",
            "lfn": "a",
            "linkage": "input",
            "notes": [
              "went on at byte 4",
            ],
            "resumedFrom": 4,
            "route": "stream",
            "seconds": 0.25,
            "source": {
              "site": "local",
              "url": "file:///in/a",
            },
            "status": "done",
            "verification": {
              "destination": {
                "algorithm": "sha256",
                "by": "kernel",
                "grade": "server",
                "value": "abababababababababababababababababababababababababababababababab",
              },
              "source": {
                "algorithm": "sha256",
                "by": "catalog",
                "grade": "end-to-end",
                "value": "abababababababababababababababababababababababababababababababab",
              },
            },
          },
          {
            "attempts": [
              {
                "bytes": 14,
                "destination": {
                  "site": "pool-1",
                  "url": "file:///out/a",
                },
                "failure": {
                  "code": "not-found",
                  "message": "reading \`/in/b\`: no such file or directory",
                  "transient": false,
                },
                "round": 1,
                "route": "stream",
                "seconds": 0.25,
                "source": {
                  "site": "local",
                  "url": "file:///in/a",
                },
                "started": "2026-11-22T09:55:38.234Z",
              },
            ],
            "bytes": 0,
            "destination": {
              "site": "pool-1",
              "url": "file:///out/a",
            },
            "digests": {},
            "failure": {
              "code": "not-found",
              "message": "reading \`/in/b\`: no such file or directory",
              "transient": false,
            },
            "index": 1,
            "kind": "transfer",
            "lfn": "a",
            "linkage": "input",
            "notes": [],
            "resumedFrom": 0,
            "route": "stream",
            "seconds": 0.25,
            "source": {
              "site": "local",
              "url": "file:///in/a",
            },
            "status": "failed",
            "verification": {
              "destination": {
                "grade": "none",
              },
              "source": {
                "grade": "none",
              },
            },
            "wasVisible": true,
          },
        ],
        "started": "2026-11-22T09:55:38.234Z",
        "summary": {
          "bytes": 14,
          "mkdirs": 0,
          "movedBytes": 14,
          "removes": 0,
          "resumed": 1,
          "resumedBytes": 4,
          "retried": 0,
          "seconds": 0.5,
          "status": {
            "canceled": 0,
            "done": 1,
            "failed": 1,
            "skipped": 0,
            "unsupported": 0,
          },
          "transfers": 2,
          "unchanged": 0,
          "verified": {
            "end-to-end": 1,
            "none": 0,
            "server": 0,
            "size": 0,
            "wire": 0,
          },
        },
      }
    `);
  });

  test('of an empty run is a document, too', () => {
    const path = join(directory, 'report.json');
    jsonReport({ file: openPartialFile(path), version: '1', now: clock() }).close();
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
      outcomes: [],
      summary: { transfers: 0, seconds: 1 },
    });
  });

  test('P11 is written in batches, and holds back less than two', () => {
    const sizes: number[] = [];
    const path = join(directory, 'report.json');
    const report = jsonReport({ file: openPartialFile(path), version: '1', now: clock() });
    const hidden = () => join(directory, readdirSync(directory)[0] ?? '');
    for (let index = 0; index < 5000; index++) {
      report.event({ type: 'item-ended', outcome: outcome({ index }) });
      sizes.push(statSync(hidden()).size);
    }
    const writes = sizes.filter((size, index) => size !== sizes[index - 1]);
    expect(Math.max(...writes.map((size, index) => size - (writes[index - 1] ?? 0)))).toBeLessThan(
      128 * 1024,
    );
    expect(writes.length).toBeGreaterThan(10);
    expect(writes.length).toBeLessThan(100);
    report.close();
    expect(JSON.parse(readFileSync(path, 'utf8')).outcomes).toHaveLength(5000);
  });

  test('replaces an older report in memory as anywhere', () => {
    const path = join(
      mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'bridle-report-')),
      'report.json',
    );
    try {
      for (let run = 0; run < 2; run++) {
        jsonReport({ file: openReportFile(path), version: '1', now: clock() }).close();
        expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ outcomes: [] });
      }
    } finally {
      rmSync(dirname(path), { recursive: true });
    }
  });

  test('replaces an older report only when it is whole', () => {
    const path = join(directory, 'report.json');
    writeFileSync(path, 'old');
    const file = openPartialFile(path);
    file.append('new');
    expect(readFileSync(path, 'utf8')).toBe('old');
    file.publish();
    expect(readFileSync(path, 'utf8')).toBe('new');
  });

  test('L14 may have a name of 255 bytes', () => {
    const name = 'ä'.repeat(127);
    openPartialFile(join(directory, name)).publish();
    expect(readdirSync(directory)).toEqual([name]);
  });

  test('has the mode that any new file gets', () => {
    const path = join(directory, 'report.json');
    openPartialFile(path).publish();
    writeFileSync(join(directory, 'other'), '');
    expect(statSync(path).mode).toBe(statSync(join(directory, 'other')).mode);
  });
});

describe('a partial file', () => {
  test('P9 that is discarded leaves nothing', () => {
    const file = openPartialFile(join(directory, 'x'));
    file.append('text');
    file.discard();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('in a directory that is not there says so', () => {
    const path = join(directory, 'absent', 'x');
    expect(() => openPartialFile(path)).toThrow(
      new TransferError('not-found', `writing \`${path}\`: no such file or directory`),
    );
  });

  test('P9 that cannot be published throws and leaves nothing', () => {
    const path = join(directory, 'x');
    mkdirSync(join(path, 'sub'), { recursive: true });
    const file = openPartialFile(path);
    expect(() => file.publish()).toThrow(TransferError);
    expect(readdirSync(directory)).toEqual(['x']);
  });
});

describe('event lines', () => {
  test('are one JSON object an event, with time and type', () => {
    let text = '';
    const lines = eventLines({
      now: clock(),
      write: (more) => {
        text += more;
      },
    });
    const source = at('https://data.example/a?x=1', 'data');
    const events: Event[] = [
      { type: 'run-started', total: 1 },
      { type: 'item-started', index: 0, source, destination: at('file:///out/a') },
      { type: 'progress', index: 0, bytes: 14 },
      { type: 'attempt-ended', index: 0, attempt: attempt({ source, failure: REFUSED }) },
      { type: 'retry-scheduled', index: 0, source, seconds: 4, round: 2, failure: REFUSED },
      { type: 'item-ended', outcome: outcome() },
      { type: 'run-ended', seconds: 1 },
    ];
    events.forEach(lines.event);
    const parsed = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(parsed.map(({ type }) => type)).toEqual(events.map(({ type }) => type));
    expect(parsed[1]).toEqual({
      time: '2026-11-22T09:55:39.234Z',
      type: 'item-started',
      index: 0,
      source: { url: 'https://data.example/a?x=1', site: 'data' },
      destination: { url: 'file:///out/a', site: 'local' },
    });
    expect(parsed[3].attempt).toMatchObject({
      started: '2026-11-22T09:55:38.234Z',
      failure: { code: 'unavailable' },
    });
    expect(parsed[5].outcome).toMatchObject({ verification: { source: { grade: 'end-to-end' } } });
  });
});
