import type { Handle } from './files.ts';
import { type Holding, holdFile } from './holding.ts';
import type { Reach } from './reach.ts';
import type { Session } from './session.ts';
import type { Lease, Sessions } from './sessions.ts';

/** One session's hold on a file that is read or written. */
export interface Lane {
  readonly session: Session;
  readonly handle: Handle;
  /** Bytes asked for or sent and not answered. */
  underWay: number;
}

/** More than the channel of one session holds, so that it never runs dry. */
const LANE_BYTES = 4 * 1024 * 1024;

export interface Lanes extends Holding {
  readonly all: readonly Lane[];
  /** The lane with the least under way. */
  pick(): Lane;
  /** Bytes that may be under way on all of them. */
  window(): number;
}

/**
 * The lanes of one file. The first is there, the others come as the sessions of `reach` do.
 * `open` gives the same file on another session, or undefined when it is not the same there.
 */
export function createLanes(
  sessions: Sessions,
  first: { readonly lease: Lease; readonly handle: Handle },
  more: {
    readonly reach: Reach;
    readonly bytes: number;
    open(session: Session): Promise<Handle | undefined>;
  },
): Lanes {
  const holdings: Holding[] = [holdFile(first.lease, first.handle)];
  const all: Lane[] = [{ session: first.lease.session, handle: first.handle, underWay: 0 }];
  let isClosed = false;

  async function widen(coming: Promise<Lease | undefined>): Promise<void> {
    const lease = await coming;
    if (!lease) return;
    const { session } = lease;
    const handle = isClosed ? undefined : await more.open(session).catch(() => undefined);
    if (!handle) {
      lease.release();
      return;
    }
    const holding = holdFile(lease, handle);
    if (isClosed) {
      holding.close();
      return;
    }
    holdings.push(holding);
    all.push({ session, handle, underWay: 0 });
  }

  more.reach.begin(first.lease.session, more.bytes);
  for (const coming of more.reach.take()) void widen(coming);
  return {
    all,
    pick: () => all.reduce((best, one) => (one.underWay < best.underWay ? one : best)),
    window: () => Math.min(sessions.window(), LANE_BYTES * all.length),
    async finish(doing) {
      isClosed = true;
      await Promise.all(holdings.map((one) => one.finish(doing)));
    },
    close() {
      isClosed = true;
      for (const one of holdings) one.close();
    },
  };
}
