/** Steps in hand, those waiting to retry included. */
const LOOK_AHEAD = 4096;
/** Steps in hand that do not wait to retry: enough that a busy host does not keep the others from working. */
const ACTIVE = 160;

/** How many items wait for their next round: they hold nothing, so others may be taken up meanwhile. */
export interface Parking {
  readonly waiting: () => number;
  readonly park: (change: 1 | -1) => void;
  onChange: () => void;
}

/** Counts from zero. */
export function createParking(): Parking {
  let waiting = 0;
  const parking: Parking = {
    waiting: () => waiting,
    park: (change) => {
      waiting += change;
      parking.onChange();
    },
    onChange: () => undefined,
  };
  return parking;
}

/** Works on a bounded number of items at a time; resolves when all are done. */
export async function forEachBounded<T>(
  items: AsyncIterable<T>,
  parking: Parking,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let running = 0;
  let broken: { readonly error: unknown } | undefined;
  const isFull = () => running - parking.waiting() >= ACTIVE || running >= LOOK_AHEAD;
  const until = (isMet: () => boolean) =>
    new Promise<void>((resolve) => {
      parking.onChange = () => {
        if (isMet()) resolve();
      };
      parking.onChange();
    });
  const settled = () => {
    running -= 1;
    parking.onChange();
  };
  try {
    for await (const item of items) {
      running += 1;
      work(item).then(settled, (error: unknown) => {
        broken ??= { error };
        settled();
      });
      if (isFull()) await until(() => !isFull());
      if (broken) break;
    }
  } finally {
    await until(() => running === 0);
  }
  if (broken) throw broken.error;
}
