import {
  cutEnd,
  formatClock,
  formatDuration,
  formatRate,
  formatSize,
  plural,
  safeText,
  shortenMiddle,
  textColumns,
} from './format.ts';

/** What a progress display shows at one moment. */
export interface ProgressView {
  readonly ended: number;
  readonly total: number;
  readonly failed: number;
  /** 0 to 1. */
  readonly fraction: number;
  readonly bytes: number;
  /** Bytes a second. */
  readonly rate: number;
  /** Seconds to the end, when there is ground for a guess. */
  readonly left?: number;
  /** The longest running items, at most {@link SHOWN_ITEMS}. */
  readonly items: readonly ProgressItem[];
  /** Items running beyond those shown. */
  readonly more: number;
  readonly waiting: number;
  /** Seconds until the first of the waiting is tried again. */
  readonly nextRetry: number;
}

export interface ProgressItem {
  readonly name: string;
  readonly bytes: number;
  readonly size?: number;
  readonly rate: number;
}

/** Items with a line of their own: more would make the display jump. */
export const SHOWN_ITEMS = 4;

const BAR = { least: 8, most: 20, item: 12 } as const;
const DIM = '\x1b[2m';
const YELLOW = '\x1b[33m';
const PLAIN = '\x1b[0m';

/** One line of the display: what it looks like, and the columns it takes. */
export interface ProgressLine {
  readonly text: string;
  readonly columns: number;
}

/** The display for a terminal of `width` columns. No line reaches the last column, where terminals wrap. */
export function progressLines(view: ProgressView, width: number, colour: boolean): ProgressLine[] {
  const columns = Math.max(1, width - 1);
  const lines = [line(overall(view, columns), '')];
  for (const item of view.items) lines.push(line(itemText(item, columns), colour ? DIM : ''));
  const tail = tailText(view);
  if (tail !== '') lines.push(line(cutEnd(tail, columns), colour ? YELLOW : ''));
  return lines;
}

function line(text: string, paint: string): ProgressLine {
  return { text: paint === '' ? text : paint + text + PLAIN, columns: textColumns(text) };
}

/** Of a tree nobody knows the number before its end. */
function filesOf({ ended, total }: ProgressView): string {
  return total === 0 ? plural(ended, 'file') : `${ended}/${plural(total, 'file')}`;
}

function overall(view: ProgressView, columns: number): string {
  const percent = view.total === 0 ? '' : `${Math.floor(view.fraction * 100)}%`.padStart(4);
  const files = filesOf(view);
  const clock = view.left === undefined ? '' : `${formatClock(view.left)} left`;
  // In the order of what a reader would miss first.
  const wanted = [
    percent,
    files,
    view.failed > 0 ? `${view.failed} failed` : '',
    formatRate(view.rate),
    clock,
    formatSize(view.bytes),
  ];
  const kept: string[] = [];
  let used = 0;
  for (const part of wanted) {
    if (part === '') continue;
    if (used + part.length + 2 > columns && kept.length > 0) break;
    kept.push(part);
    used += part.length + 2;
  }
  const room = columns - used - 2;
  const bar = view.total > 0 && room >= BAR.least ? drawBar(view.fraction, Math.min(BAR.most, room)) : '';
  return cutEnd(`${bar}${kept.join('  ')}`, columns);
}

function drawBar(fraction: number, cells: number): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * cells);
  return `[${'='.repeat(full)}${' '.repeat(cells - full)}]`;
}

function itemText(item: ProgressItem, columns: number): string {
  const fraction = item.size !== undefined && item.size > 0 ? Math.min(1, item.bytes / item.size) : undefined;
  const amount =
    fraction === undefined ? formatSize(item.bytes) : `${Math.floor(fraction * 100)}%`.padStart(4);
  const bar = fraction === undefined ? '' : drawBar(fraction, BAR.item);
  const tails = [`${bar}${amount}  ${formatRate(item.rate)}`, `${amount}  ${formatRate(item.rate)}`, amount];
  // The name may take what is left, and half of the line at least.
  const tail = tails.find((text) => text.length + 4 <= columns / 2) ?? tails[2] ?? '';
  const name = shortenMiddle(safeText(item.name), columns - tail.length - 4);
  const padding = ' '.repeat(Math.max(0, columns - tail.length - 4 - textColumns(name)));
  return cutEnd(`  ${name}${padding}  ${tail}`, columns);
}

function tailText(view: ProgressView): string {
  const parts: string[] = [];
  if (view.more > 0) parts.push(`${view.more} more running`);
  if (view.waiting > 0)
    parts.push(`${view.waiting} waiting to retry, next in ${Math.ceil(view.nextRetry)} s`);
  return parts.length === 0 ? '' : `  ${parts.join('; ')}`;
}

/** The same in one plain line, for logs. */
export function progressSentence(view: ProgressView): string {
  const parts = [filesOf(view), formatSize(view.bytes), formatRate(view.rate)];
  if (view.failed > 0) parts.push(`${view.failed} failed`);
  if (view.waiting > 0) parts.push(`${view.waiting} waiting to retry`);
  if (view.left !== undefined) parts.push(`about ${formatDuration(view.left)} left`);
  return parts.join(', ');
}
