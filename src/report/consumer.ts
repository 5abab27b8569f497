import type { Event } from '../outcome.ts';

/** Something that reads a run. `event` returns at once and never throws; nothing is retained of an item that ended. */
export interface Consumer {
  readonly event: (event: Event) => void;
  /** Call once, after the last event. */
  readonly close: () => void | Promise<void>;
}

/** Takes text, whole lines with their newlines unless said otherwise. Must not throw. */
export type Write = (text: string) => void;

/** Milliseconds since the epoch. */
export type Clock = () => number;
