import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/outcome.ts';
import { textColumns } from '../../src/report/format.ts';
import { progress } from '../../src/report/progress.ts';
import { at, failed, MISSING, NOON, outcome, REFUSED, startScreen } from './script.ts';

const MIB = 1024 ** 2;

function started(index: number, name = `/out/file-${index}`): Event {
  return {
    type: 'item-started',
    index,
    source: at(`file:///in/${index}`),
    destination: { scheme: 'file', authority: '', path: name, site: 'local' },
  };
}

function start(columns: number, options: { isTTY?: boolean; colour?: boolean } = {}) {
  let [time, width] = [NOON, columns];
  let beat: (() => void) | undefined;
  let period = 0;
  const screen = startScreen(columns);
  const display = progress({
    write: screen.write,
    now: () => time,
    every(milliseconds, callback) {
      period = milliseconds;
      beat = callback;
      return () => {
        beat = undefined;
      };
    },
    isTTY: options.isTTY ?? true,
    colour: options.colour ?? false,
    width: () => width,
  });
  return {
    screen,
    display,
    emit: (...events: Event[]) => events.forEach(display.event),
    /** Lets time pass, with a beat at every period. */
    pass(milliseconds: number) {
      for (const end = time + milliseconds; time < end; ) {
        time += period;
        beat?.();
      }
    },
    isBeating: () => beat !== undefined,
    resize(to: number) {
      width = to;
      screen.resize(to);
    },
  };
}

/** One item done, one half way at 10 MiB/s, one of unknown size, one waiting. */
function midway(columns: number, colour = false) {
  const run = start(columns, { colour });
  run.emit(
    { type: 'run-started', total: 42 },
    started(0),
    { type: 'item-ended', outcome: outcome({ index: 0 }) },
    started(1, '/scratch/run-0001/00/00/a-rather-long-name-of-an-output-file.h5'),
    { type: 'item-size', index: 1, bytes: 200 * MIB },
    started(2, '/out/unknown'),
    started(3),
    {
      type: 'retry-scheduled',
      index: 3,
      source: at('file:///in/3'),
      seconds: 16.4,
      round: 2,
      failure: REFUSED,
    },
  );
  for (let second = 0; second < 10; second++) {
    run.emit({ type: 'progress', index: 1, bytes: 10 * MIB }, { type: 'progress', index: 2, bytes: 1024 });
    run.pass(1000);
  }
  return run;
}

describe('progress on a terminal', () => {
  test('80 columns show the whole, what runs, and what waits', () => {
    expect(midway(80).screen.rows()).toMatchInlineSnapshot(`
      [
        "[=                   ]  3%  1/42 files  10.0 MiB/s  4:30 left  100 MiB",
        "  /scratch/run-0001/00/0…me-of-an-output-file.h5  [======      ] 50%  9.2 MiB/s",
        "  /out/unknown                                                10.0 KiB  940 B/s",
        "  1 waiting to retry, next in 7 s",
      ]
    `);
  });

  test('40 columns keep what matters most', () => {
    expect(midway(40).screen.rows()).toMatchInlineSnapshot(`
      [
        "  3%  1/42 files  10.0 MiB/s",
        "  /scratch/…ut-file.h5   50%  9.2 MiB/s",
        "  /out/unknown                 10.0 KiB",
        "  1 waiting to retry, next in 7 s",
      ]
    `);
  });

  test('200 columns show everything', () => {
    expect(midway(200).screen.rows()).toMatchInlineSnapshot(`
      [
        "[=                   ]  3%  1/42 files  10.0 MiB/s  4:30 left  100 MiB",
        "  /scratch/run-0001/00/00/a-rather-long-name-of-an-output-file.h5                                                                                                         [======      ] 50%  9.2 MiB/s",
        "  /out/unknown                                                                                                                                                                        10.0 KiB  940 B/s",
        "  1 waiting to retry, next in 7 s",
      ]
    `);
  });

  test('colours change nothing but the colours, and without them there are none', () => {
    const [plain, painted] = [midway(80), midway(80, true)];
    expect(painted.screen.rows()).toEqual(plain.screen.rows());
    expect(plain.screen.raw()).not.toMatch(/\x1b\[\d*m/);
    expect(painted.screen.raw()).toMatch(/\x1b\[33m/);
  });

  test('nothing is written between two beats, and nothing when nothing changed', () => {
    const run = start(80);
    run.emit({ type: 'run-started', total: 3 }, started(0), { type: 'progress', index: 0, bytes: 10 });
    expect(run.screen.raw()).toBe('');
    run.pass(20_000);
    const before = run.screen.raw().length;
    run.pass(1000);
    expect(run.screen.raw().length).toBe(before);
  });

  test('lines printed above push the display down, closing wipes it', () => {
    const run = midway(80);
    const shown = run.screen.rows();
    run.display.above('warning: first\n');
    run.display.above('warning: second\n');
    run.emit({ type: 'progress', index: 1, bytes: 1 });
    run.pass(200);
    expect(run.screen.rows().slice(0, 2)).toEqual(['warning: first', 'warning: second']);
    expect(run.screen.rows()).toHaveLength(shown.length + 2);
    run.display.close();
    expect(run.screen.rows()).toEqual(['warning: first', 'warning: second']);
    expect(run.isBeating()).toBe(false);
  });

  test('a window made narrower leaves no rest of the old display', () => {
    const run = midway(80);
    run.resize(50);
    run.display.above('here\n');
    expect(run.screen.rows()).toEqual(['here']);
  });

  test('items beyond four are counted, those that end make room', () => {
    const run = start(80);
    run.emit({ type: 'run-started', total: 9 }, ...[0, 1, 2, 3, 4, 5].map((index) => started(index)));
    run.pass(200);
    expect(run.screen.rows().at(-1)).toBe('  2 more running');
    run.emit({ type: 'item-ended', outcome: failed(MISSING, { index: 0 }) });
    run.pass(200);
    expect(run.screen.rows()[0]).toContain('1 failed');
    expect(run.screen.rows().some((row) => row.includes('file-4'))).toBe(true);
    expect(run.screen.rows().at(-1)).toBe('  1 more running');
  });

  test('an item that waited is running again when it starts', () => {
    const run = midway(80);
    expect(run.screen.rows().at(-1)).toBe('  1 waiting to retry, next in 7 s');
    run.emit(started(3));
    run.pass(200);
    expect(run.screen.rows().join('\n')).not.toContain('waiting');
    expect(run.screen.rows().join('\n')).toContain('/out/file-3');
  });

  test('P4 bytes of an earlier run show as progress but not as speed', () => {
    const run = start(80);
    run.emit({ type: 'run-started', total: 1 }, started(0), {
      type: 'item-size',
      index: 0,
      bytes: 100 * MIB,
    });
    run.pass(400);
    run.emit({ type: 'resumed', index: 0, from: 75 * MIB, why: 'same version' });
    run.pass(1000);
    expect(run.screen.rows()[0]).toContain('75%');
    expect(run.screen.rows()[0]).toContain('0 B/s');
  });

  test('with every size known the time left goes by bytes', () => {
    const run = start(80);
    run.emit({ type: 'run-started', total: 1 }, started(0), {
      type: 'item-size',
      index: 0,
      bytes: 100 * MIB,
    });
    for (let second = 0; second < 5; second++) {
      run.pass(1000);
      run.emit({ type: 'progress', index: 0, bytes: 10 * MIB });
    }
    run.pass(200);
    expect(run.screen.rows()[0]).toMatch(/ 0:05 left/);
  });

  test('L14 no name moves the cursor or widens a line', () => {
    const seed = 7;
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.integer({ min: 2, max: 200 }),
        (name, columns) => {
          const run = start(columns);
          run.emit({ type: 'run-started', total: 2 }, started(0, name));
          run.pass(200);
          // The screen refuses control characters; rows beyond two would be wrapped ones.
          expect(run.screen.rows().length).toBeLessThanOrEqual(2);
          for (const row of run.screen.rows()) expect(textColumns(row)).toBeLessThan(columns);
        },
      ),
      { seed, numRuns: 500 },
    );
  });

  test('P11 a million items leave nothing behind', () => {
    const run = start(80);
    const total = 1_000_000;
    run.emit({ type: 'run-started', total });
    const before = process.memoryUsage().heapUsed;
    const [template, source, destination] = [outcome(), at('file:///in/a'), at('file:///out/a')];
    for (let index = 0; index < total; index++) {
      run.display.event({ type: 'item-started', index, source, destination });
      run.display.event({ type: 'item-size', index, bytes: 14 });
      run.display.event({ type: 'item-ended', outcome: { ...template, index } });
    }
    run.pass(200);
    expect(run.screen.rows()).toHaveLength(1);
    expect(run.screen.rows()[0]).toContain('1000000/1000000 files');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(128 * MIB);
  });
});

describe('progress without a terminal', () => {
  test('one plain line after a second and every ten, and none for a short run', () => {
    const run = start(80, { isTTY: false });
    run.emit({ type: 'run-started', total: 3 }, started(0));
    for (let second = 0; second < 20; second++) run.emit({ type: 'progress', index: 0, bytes: MIB });
    expect(run.screen.raw()).toBe('');
    run.pass(20_000);
    expect(run.screen.raw()).toMatchInlineSnapshot(`
      "0/3 files, 20.0 MiB, 20.0 MiB/s
      0/3 files, 20.0 MiB, 2.0 MiB/s
      0/3 files, 20.0 MiB, 0 B/s
      "
    `);
    run.display.close();
    expect(run.screen.raw().split('\n')).toHaveLength(4);
  });

  test('of a tree it tells no number of files and no end, which nobody knows', () => {
    for (const isTTY of [true, false]) {
      const run = start(80, { isTTY });
      run.emit({ type: 'run-started', total: 0 }, started(0), { type: 'item-size', index: 0, bytes: MIB });
      run.emit({ type: 'item-ended', outcome: outcome({ index: 0 }) }, started(1));
      run.pass(20_000);
      expect(run.screen.raw()).toMatch(/(?<!\/)1 file,? /);
      expect(run.screen.raw()).not.toMatch(/%|\/0|left|\[ /);
      run.display.close();
    }
  });
});
