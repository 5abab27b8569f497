/** A rate over the last seconds, from samples of a running total. */
export interface Meter {
  /** Takes the total at a time in milliseconds. Samples closer together than a tenth of a second are left out. */
  sample(total: number, milliseconds: number): void;
  /** Units a second over the window, never below 0. */
  rate(): number;
}

const SAMPLE_EVERY = 100;

/** A meter over `seconds`: long enough to be calm, short enough to show a stall. */
export function startMeter(seconds: number): Meter {
  const times: number[] = [];
  const totals: number[] = [];
  return {
    sample(total, milliseconds) {
      const last = times.at(-1);
      // A clock that stepped back would give negative spans.
      if (last !== undefined && milliseconds < last) {
        times.length = 0;
        totals.length = 0;
      } else if (last !== undefined && milliseconds - last < SAMPLE_EVERY) return;
      times.push(milliseconds);
      totals.push(total);
      while (times.length > 2 && milliseconds - (times[1] ?? 0) >= seconds * 1000) {
        times.shift();
        totals.shift();
      }
    },
    rate() {
      const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
      return span <= 0 ? 0 : Math.max(0, (((totals.at(-1) ?? 0) - (totals[0] ?? 0)) / span) * 1000);
    },
  };
}
