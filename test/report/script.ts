import { type Location, parseUrl } from '../../src/location.ts';
import type { Attempt, Failure, Outcome } from '../../src/outcome.ts';

/** 2026-11-22T09:55:38.234Z. */
export const NOON = Date.UTC(2026, 10, 22, 9, 55, 38, 234);

export function at(url: string, site = 'local'): Location {
  return parseUrl(url, { site }).location;
}

export const REFUSED: Failure = {
  code: 'unavailable',
  message: 'reading `https://data.example/a`: connection refused',
  hint: 'is the server up?',
  transient: true,
};

export const MISSING: Failure = {
  code: 'not-found',
  message: 'reading `/in/b`: no such file or directory',
  transient: false,
};

export function attempt(some: Partial<Attempt> = {}): Attempt {
  return {
    round: 1,
    source: at('file:///in/a'),
    destination: at('file:///out/a', 'pool-1'),
    started: NOON,
    seconds: 0.25,
    bytes: 14,
    route: 'stream',
    ...some,
  };
}

export function outcome(some: Partial<Outcome> = {}): Outcome {
  return {
    index: 0,
    kind: 'transfer',
    status: 'done',
    lfn: 'a',
    linkage: 'input',
    source: at('file:///in/a'),
    destination: at('file:///out/a', 'pool-1'),
    route: 'stream',
    bytes: 14,
    resumedFrom: 0,
    attempts: [attempt()],
    seconds: 0.25,
    sourceVerification: { grade: 'end-to-end', algorithm: 'sha256', value: 'ab'.repeat(32), by: 'catalog' },
    destinationVerification: { grade: 'server', algorithm: 'sha256', value: 'ab'.repeat(32), by: 'kernel' },
    digests: { sha256: 'ab'.repeat(32) },
    notes: [],
    ...some,
  };
}

/** An outcome that failed, after attempts that failed alike. */
export function failed(failure: Failure, some: Partial<Outcome> = {}): Outcome {
  return outcome({
    status: 'failed',
    bytes: 0,
    attempts: [attempt({ failure })],
    failure,
    sourceVerification: { grade: 'none' },
    destinationVerification: { grade: 'none' },
    digests: {},
    ...some,
  });
}

export interface Screen {
  readonly write: (text: string) => void;
  /** What is seen, without trailing blanks and empty rows at the end. */
  rows(): string[];
  /** Everything that was written. */
  raw(): string;
  resize(columns: number): void;
}

/** A terminal that knows newline, cursor up, carriage return, clearing and colours, wraps, and refuses all else. */
export function startScreen(columns: number): Screen {
  let rows: string[][] = [[]];
  let [row, column, raw] = [0, 0, ''];

  function put(character: string): void {
    if (column >= columns) {
      row++;
      column = 0;
    }
    while (rows.length <= row) rows.push([]);
    const cells = rows[row] ?? [];
    while (cells.length < column) cells.push(' ');
    cells[column++] = character;
  }

  function control(code: string, count: number): void {
    if (code === 'A') row = Math.max(0, row - count);
    else if (code === 'J') {
      rows = rows.slice(0, row + 1);
      rows[row] = (rows[row] ?? []).slice(0, column);
    } else if (code !== 'm') throw new Error(`unknown control sequence ${code}`);
  }

  return {
    write(text) {
      raw += text;
      for (let rest = text; rest !== ''; ) {
        const sequence = /^\x1b\[(\d*)([A-Za-z])/.exec(rest);
        if (sequence !== null) {
          control(sequence[2] ?? '', Number(sequence[1] || 1));
          rest = rest.slice(sequence[0].length);
          continue;
        }
        const character = String.fromCodePoint(rest.codePointAt(0) ?? 0);
        if (character === '\n') {
          row++;
          column = 0;
        } else if (character === '\r') column = 0;
        else if (/\p{Cc}/u.test(character)) throw new Error(`control character ${JSON.stringify(character)}`);
        else put(character);
        rest = rest.slice(character.length);
      }
    },
    rows() {
      const seen = Array.from(rows, (cells) => (cells ?? []).join('').trimEnd());
      while (seen.length > 0 && seen.at(-1) === '') seen.pop();
      return seen;
    },
    raw: () => raw,
    resize(to) {
      const reflowed: string[][] = [];
      for (const cells of rows.slice(0, row)) {
        for (let from = 0; from === 0 || from < cells.length; from += to)
          reflowed.push(cells.slice(from, from + to));
      }
      reflowed.push([]);
      rows = reflowed;
      row = rows.length - 1;
      columns = to;
    },
  };
}
