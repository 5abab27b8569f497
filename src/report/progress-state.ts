import type { Event, Outcome } from '../outcome.ts';
import { type Meter, startMeter } from './meter.ts';
import { type ProgressItem, type ProgressView, SHOWN_ITEMS } from './progress-lines.ts';

/** Seconds that rates look back. */
const WINDOW = 10;

/** Seconds before a guess at the end is worth showing. */
const GUESS_AFTER = 3;

interface Item {
  readonly name: string;
  bytes: number;
  size: number | undefined;
  /** When it is tried again, in milliseconds; undefined while it runs. */
  due: number | undefined;
  /** Since it was first shown. */
  meter: Meter | undefined;
}

export interface ProgressState {
  take(event: Event): void;
  /** Samples the rates: call it at a steady beat. */
  view(milliseconds: number): ProgressView;
}

/**
 * What is going on, from events. Holds a record for each item that runs or waits to run again, and nothing of those
 * that ended.
 */
export function startProgressState(now: () => number): ProgressState {
  const items = new Map<number, Item>();
  const bytesMeter = startMeter(WINDOW);
  const started = now();
  bytesMeter.sample(0, started);
  let [total, ended, failed, bytes, resumed] = [0, 0, 0, 0, 0];
  let [sizedItems, sizedBytes] = [0, 0];

  /** An item that waited and shows a sign of life runs again. */
  function running(index: number): Item | undefined {
    const item = items.get(index);
    if (item?.due !== undefined) item.due = undefined;
    return item;
  }

  function move(index: number, count: number): void {
    bytes += count;
    const item = running(index);
    if (item !== undefined) item.bytes += count;
  }

  function setSize(item: Item, size: number): void {
    if (item.size === undefined) sizedItems++;
    sizedBytes += size - (item.size ?? 0);
    item.size = size;
  }

  function end(outcome: Outcome): void {
    ended++;
    if (outcome.status !== 'done' && outcome.status !== 'skipped') failed++;
    const item = items.get(outcome.index);
    if (item?.size !== undefined) {
      sizedItems--;
      sizedBytes -= item.size;
    }
    items.delete(outcome.index);
    // A kernel or server-side copy may tell its bytes only at the end.
    if (outcome.status === 'done' && (outcome.route === 'copy' || outcome.route === 'stream')) {
      bytes += outcome.bytes - (item?.bytes ?? 0);
    }
  }

  /** What is done: by bytes when every remaining size is known, else by files. */
  function share(credit: number, activeBytes: number): number {
    if (total === 0) return 0;
    const open = Math.max(0, sizedBytes - activeBytes);
    if (total > ended && sizedItems >= total - ended && bytes + open > 0) return bytes / (bytes + open);
    return Math.min(1, (ended + credit) / total);
  }

  /** Seconds left: by bytes when every remaining size is known, else as the share that is done took. */
  function left(milliseconds: number, fraction: number, activeBytes: number): number | undefined {
    const elapsed = (milliseconds - started) / 1000;
    // Of a tree nobody knows what is still to come.
    if (total === 0 || elapsed < GUESS_AFTER) return undefined;
    if (sizedItems < total - ended) return fraction > 0 ? (elapsed * (1 - fraction)) / fraction : undefined;
    const rate = bytesMeter.rate();
    return rate > 0 ? Math.max(0, sizedBytes - activeBytes) / rate : undefined;
  }

  return {
    take(event) {
      switch (event.type) {
        case 'run-started':
          total = event.total;
          return;
        case 'item-started':
          startItem(items, event.index, event.destination.path || event.destination.authority);
          return;
        case 'item-size': {
          const item = running(event.index);
          if (item !== undefined) setSize(item, event.bytes);
          return;
        }
        case 'progress':
          move(event.index, event.bytes);
          return;
        case 'resumed':
          resumed += event.from;
          move(event.index, event.from);
          return;
        case 'retry-scheduled': {
          const item = items.get(event.index);
          if (item !== undefined) item.due = now() + event.seconds * 1000;
          return;
        }
        case 'item-ended':
          end(event.outcome);
          return;
        default:
      }
    },
    view(milliseconds) {
      bytesMeter.sample(bytes - resumed, milliseconds);
      const shown: ProgressItem[] = [];
      let [active, waiting, activeBytes, credit, nextRetry] = [0, 0, 0, 0, Number.POSITIVE_INFINITY];
      for (const item of items.values()) {
        if (item.due !== undefined && item.due > milliseconds) {
          waiting++;
          nextRetry = Math.min(nextRetry, item.due);
          continue;
        }
        // Due, and about to run: neither waiting nor yet worth a line.
        if (item.due !== undefined) continue;
        active++;
        activeBytes += item.bytes;
        if (item.size !== undefined && item.size > 0)
          credit += Math.min(1, Math.max(0, item.bytes / item.size));
        if (shown.length < SHOWN_ITEMS) shown.push(showItem(item, milliseconds));
      }
      const fraction = share(credit, activeBytes);
      const guess = left(milliseconds, fraction, activeBytes);
      return {
        ended,
        total,
        failed,
        fraction,
        bytes: Math.max(0, bytes),
        rate: bytesMeter.rate(),
        ...(guess === undefined ? {} : { left: guess }),
        items: shown,
        more: active - shown.length,
        waiting,
        nextRetry: waiting === 0 ? 0 : (nextRetry - milliseconds) / 1000,
      };
    },
  };
}

/** A new attempt goes on with the record, at the end of the order. */
function startItem(items: Map<number, Item>, index: number, name: string): void {
  const before = items.get(index);
  if (before?.due !== undefined) items.delete(index);
  items.set(index, {
    name,
    bytes: before?.bytes ?? 0,
    size: before?.size,
    due: undefined,
    meter: undefined,
  });
}

function showItem(item: Item, milliseconds: number): ProgressItem {
  item.meter ??= startMeter(WINDOW);
  item.meter.sample(item.bytes, milliseconds);
  return {
    name: item.name,
    bytes: Math.max(0, item.bytes),
    rate: item.meter.rate(),
    ...(item.size === undefined ? {} : { size: item.size }),
  };
}
