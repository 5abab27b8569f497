import type { Clock, Consumer, Write } from './consumer.ts';
import { type ProgressLine, progressLines, progressSentence } from './progress-lines.ts';
import { startProgressState } from './progress-state.ts';

/** Milliseconds between two drawings on a terminal: five a second. */
const DRAW_EVERY = 200;

/** Milliseconds until a log has its first line: a sign of life that runs of a moment do without. */
const TELL_FIRST = 1000;
/** Milliseconds between two lines in a log. */
const TELL_EVERY = 10_000;

/** Calls back again and again until the returned function is called. Must not keep a finished process alive. */
export type Every = (milliseconds: number, callback: () => void) => () => void;

export interface ProgressOptions {
  readonly write: Write;
  readonly now: Clock;
  readonly every: Every;
  readonly isTTY: boolean;
  /** False under `NO_COLOR`. */
  readonly colour: boolean;
  /** Columns of the terminal now: windows are resized. */
  readonly width: () => number;
}

export interface Progress extends Consumer {
  /** Prints whole lines above the display. */
  readonly above: Write;
}

/**
 * How far the run is: on a terminal a few lines drawn over one another, elsewhere one plain line after a second and then
 * every ten.
 * Closing wipes the display. Written text never holds control characters of file names.
 */
export function progress(options: ProgressOptions): Progress {
  const { write, now, every, isTTY, colour, width } = options;
  const state = startProgressState(now);
  let drawn: readonly ProgressLine[] = [];
  let closed = false;

  /** Back to where the display began. A window that became narrower has wrapped its lines. */
  function wiping(): string {
    if (drawn.length === 0) return '';
    const columns = Math.max(1, width());
    const rows = drawn.reduce((sum, { columns: used }) => sum + Math.max(1, Math.ceil(used / columns)), 0);
    return `\x1b[${rows}A\r\x1b[J`;
  }

  function draw(): void {
    const lines = progressLines(state.view(now()), width(), colour);
    if (isSame(lines, drawn)) return;
    write(`${wiping()}${lines.map(({ text }) => `${text}\n`).join('')}`);
    drawn = lines;
  }

  let waited = 0;
  function tell(): void {
    waited += TELL_FIRST;
    if (waited === TELL_FIRST || waited % TELL_EVERY === 0) write(`${progressSentence(state.view(now()))}\n`);
  }

  const stop = isTTY ? every(DRAW_EVERY, draw) : every(TELL_FIRST, tell);
  return {
    event: state.take,
    above(text) {
      write(wiping() + text);
      drawn = [];
    },
    close() {
      if (closed) return;
      closed = true;
      stop();
      const wipe = wiping();
      drawn = [];
      if (wipe !== '') write(wipe);
    },
  };
}

function isSame(one: readonly ProgressLine[], other: readonly ProgressLine[]): boolean {
  return one.length === other.length && one.every((line, index) => line.text === other[index]?.text);
}
