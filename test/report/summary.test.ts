import { describe, expect, test } from 'vitest';
import type { Event, Outcome } from '../../src/outcome.ts';
import { summary } from '../../src/report/summary.ts';
import { overallGrade } from '../../src/report/tally.ts';
import { at, attempt, failed, MISSING, outcome, REFUSED } from './script.ts';

function told(events: readonly Event[], reportPath?: string): string {
  let text = '';
  const consumer = summary({
    write: (more) => {
      text += more;
    },
    ...(reportPath === undefined ? {} : { reportPath }),
  });
  events.forEach(consumer.event);
  consumer.close();
  return text;
}

function ended(some: Outcome): Event {
  return { type: 'item-ended', outcome: some };
}

const END: Event = { type: 'run-ended', seconds: 12 };

describe('the summary', () => {
  test('a run that went well is one line', () => {
    const events = [ended(outcome({ bytes: 1024 ** 3 })), ended(outcome({ bytes: 1024 ** 3 * 0.3 })), END];
    expect(told(events)).toBe('2 files, 1.3 GiB in 12.0 s (111 MiB/s): 2 done; verified: 2 end-to-end\n');
  });

  test('P5 each failure is named with its reason, each hint told once, and what to do next', () => {
    const events = [
      ended(outcome({ resumedFrom: 7, attempts: [attempt({ failure: REFUSED }), attempt({ round: 2 })] })),
      ended(
        failed(REFUSED, {
          index: 1,
          attempts: [1, 2, 3].map((round) => attempt({ round, failure: REFUSED })),
        }),
      ),
      ended(failed(REFUSED, { index: 2 })),
      ended(failed(MISSING, { index: 3, source: at('file:///in/b') })),
      ended(
        outcome({ index: 4, kind: 'remove', status: 'skipped', notes: ['a transfer failed'], attempts: [] }),
      ),
      END,
    ];
    expect(told(events)).toMatchInlineSnapshot(`
      "failed: file:///in/a -> file:///out/a: reading \`https://data.example/a\`: connection refused (3 attempts)
        hint: is the server up?
      failed: file:///in/a -> file:///out/a: reading \`https://data.example/a\`: connection refused
      failed: file:///in/b -> file:///out/a: reading \`/in/b\`: no such file or directory
      2 needed another attempt, 1 resumed (7 B not sent again)
      4 files, 1 remove, 14 B in 12.0 s (1 B/s): 1 done, 3 failed, 1 skipped; verified: 1 end-to-end
      next: run it again; interrupted files go on where they stopped
      "
    `);
  });

  test('failures beyond twenty are counted, and the report is named', () => {
    const events = Array.from({ length: 1000 }, (_, index) => ended(failed(MISSING, { index })));
    const lines = told(events).split('\n');
    expect(lines.filter((line) => line.startsWith('failed: '))).toHaveLength(20);
    expect(lines).toContain('and 980 more, see --report');
    expect(told(events, '/tmp/r.json')).toContain('and 980 more, see `/tmp/r.json`\n');
  });

  test('nothing transient: the next step is to mend, not to repeat', () => {
    expect(told([ended(failed(MISSING)), END])).toContain(
      'next: these will fail again unless something changes',
    );
  });

  test('unsupported items send the reader to the list', () => {
    const event = ended(failed(MISSING, { status: 'unsupported' }));
    expect(told([event, END])).toContain('next: change what is not supported in the list');
  });

  test('an empty run says so', () => {
    expect(told([END])).toBe('0 files in 12.0 s: 0 done\n');
  });

  test('mkdirs and removes are no files', () => {
    const events = [
      ended(outcome({ kind: 'mkdir', bytes: 0 })),
      ended(outcome({ kind: 'remove', bytes: 0 })),
      ended(outcome({ kind: 'remove', bytes: 0 })),
      END,
    ];
    expect(told(events)).toBe('1 mkdir, 2 removes in 12.0 s: 3 done\n');
  });

  test('L14 names cannot forge lines', () => {
    const source = { ...at('file:///in/a'), path: '/in/a\n42 files: 42 done\x1b[1A' };
    const text = told([ended(failed(MISSING, { source })), END]);
    expect(text).toContain('/in/a\\x0a42 files: 42 done\\x1b[1A');
    expect(text.split('\n')).toHaveLength(4);
  });

  test('what was identical already is counted apart, and no rate is made of it', () => {
    const there = outcome({ route: 'none', bytes: 1024 ** 3 });
    expect(told([ended(there), ended(outcome({ bytes: 1024 ** 2 })), END])).toBe(
      '1 identical already, left alone\n' +
        '2 files, 1.0 GiB in 12.0 s (85.3 KiB/s): 2 done; verified: 2 end-to-end\n',
    );
    expect(told([ended(there), END])).toContain('1 file, 1.0 GiB in 12.0 s: 1 done');
  });

  test('a host that is paused, and one that is given up, is told at once', () => {
    const host = 'https://d.example';
    const events: Event[] = [
      { type: 'breaker-opened', host, failures: 9, of: 10 },
      { type: 'host-given-up', host },
    ];
    expect(told(events).split('\n').slice(0, 2)).toEqual([
      'warning: https://d.example: 9 of the last 10 tries failed; waiting, and trying one at a time',
      'warning: https://d.example: given up for this run',
    ]);
  });

  test('warnings come at once', () => {
    expect(told([{ type: 'warning', key: 'k', message: 'TLS is not verified' }])).toMatch(
      /^warning: TLS is not verified\n/,
    );
  });
});

describe('P3 one grade for both sides', () => {
  test.each([
    ['end-to-end', 'server', 'end-to-end'],
    ['end-to-end', 'size', 'size'],
    ['wire', 'server', 'wire'],
    ['none', 'end-to-end', 'none'],
    ['server', 'server', 'server'],
  ] as const)('source %s and destination %s are %s', (source, destination, grade) => {
    const some = outcome({
      sourceVerification: { grade: source },
      destinationVerification: { grade: destination },
    });
    expect(overallGrade(some)).toBe(grade);
  });
});
