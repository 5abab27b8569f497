export { safeText } from '../safe-text.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people, in powers of 1024: `512 B`, `1.3 GiB`, `110 MiB`. */
export function formatSize(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  // 1023.95 would round up to `1024.0`.
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return `${Math.round(value)} B`;
  return `${value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Bytes a second for people: `110 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** Seconds for people: `12.0 s`, `3 min 05 s`, `2 h 05 min`. */
export function formatDuration(seconds: number): string {
  const value = Math.max(0, seconds);
  if (value < 59.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** Seconds as a clock, short enough for a progress line: `0:42`, `1:02:03`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** `1 file`, `2 files`. */
export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : many}`;
}

const PLAIN = /^[\x20-\x7e]*$/;
const NO_COLUMN = /^[\p{M}\u200c\u200d]$/u;
const TWO_COLUMNS =
  /^[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{1b2ff}\u{1f000}-\u{1faff}\u{20000}-\u{3fffd}]|^\p{Emoji_Presentation}/u;

function columnsOf(character: string): number {
  // Asks for the wide form of the character before it.
  if (character === '\ufe0f') return 1;
  if (NO_COLUMN.test(character)) return 0;
  return TWO_COLUMNS.test(character) ? 2 : 1;
}

/** Columns that safe text takes on a terminal; rather one too many than one too few. */
export function textColumns(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += columnsOf(character);
  return columns;
}

/** `text`, or its beginning and end around `…`, in at most `columns` columns. */
export function shortenMiddle(text: string, columns: number): string {
  if (textColumns(text) <= columns) return text;
  if (columns < 1) return '';
  const characters = [...text];
  const [headColumns, tailColumns] = [Math.floor((columns - 1) / 2), Math.ceil((columns - 1) / 2)];
  return `${takeColumns(characters, headColumns)}…${[...takeColumns(characters.reverse(), tailColumns)].reverse().join('')}`;
}

/** As much of the beginning of `text` as fits into `columns` columns. */
export function cutEnd(text: string, columns: number): string {
  return textColumns(text) <= columns ? text : takeColumns([...text], columns);
}

function takeColumns(characters: readonly string[], columns: number): string {
  let taken = '';
  let used = 0;
  for (const character of characters) {
    used += columnsOf(character);
    if (used > columns) break;
    taken += character;
  }
  return taken;
}
