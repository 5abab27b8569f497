import { TransferError, toTransferError } from '../errors.ts';
import { abortable, refuseAborted } from './abortable.ts';
import type { Session } from './session.ts';

/** Sessions with one host. Each is one `ssh` and one core for encryption on either side. */
const MOST = 4;
/** Jobs that share a session before another is opened. */
const SHARE = 2;
/** Bytes under way for all transfers of an endpoint together. */
const BUDGET = 32 * 1024 * 1024;
/** Every transfer may have this much under way, however many there are. */
const LEAST = 1024 * 1024;
/** Milliseconds for which a refusal stands: a host that refuses a key a thousand times locks its user out. */
const REFUSED_MS = 10_000;

/** A session lent to one job. */
export interface Lease {
  readonly session: Session;
  release(): void;
}

/** The sessions of one endpoint, opened as they are needed. */
export interface Sessions {
  /** The least busy session. Rejects with why there is none, or `canceled`. */
  acquire(signal: AbortSignal, doing: string): Promise<Lease>;
  /** A session that is there and works; undefined when there is none. */
  present(): Lease | undefined;
  /**
   * A session that is none of `used`, for a file that is worth several; undefined where others need them more, and
   * where there are `most` (below ten: sshd refuses at random where more log in, sshd_config(5), MaxStartups).
   */
  another(used: readonly Session[], most: number): Promise<Lease | undefined>;
  /** Bytes that one transfer may have under way just now. */
  window(): number;
  close(): Promise<void>;
}

interface Slot {
  readonly session: Session;
  load: number;
}

/** Shares sessions that `connect` makes. One that failed is never lent again. */
export function createSessions(connect: () => Promise<Session>): Sessions {
  let slots: Slot[] = [];
  const connecting = new Set<Promise<Slot>>();
  let refusal: { readonly error: TransferError; readonly until: number } | undefined;
  let noMoreUntil = 0;
  /** What was under way when somebody closed is not kept; later calls begin anew. */
  let era = 0;
  /** Leases that belong to a transfer which has another one. */
  let further = 0;

  function open(): Promise<Slot> {
    const mine = era;
    const opening = connect().then(
      async (session) => {
        const slot: Slot = { session, load: 0 };
        if (mine === era) slots.push(slot);
        else await session.close();
        return slot;
      },
      (error: unknown) => {
        throw toTransferError(error, 'ssh');
      },
    );
    connecting.add(opening);
    const done = () => connecting.delete(opening);
    opening.then(done, done);
    return opening;
  }

  function live(): Slot[] {
    const failed = slots.filter(({ session }) => session.failure());
    slots = slots.filter(({ session }) => !session.failure());
    for (const { session } of failed) void session.close();
    return slots;
  }

  function lend(slot: Slot): Lease {
    slot.load += 1;
    let isLent = true;
    return {
      session: slot.session,
      release() {
        if (isLent) slot.load -= 1;
        isLent = false;
      },
    };
  }

  function lendFurther(slot: Slot): Lease {
    const lease = lend(slot);
    further += 1;
    let isLent = true;
    return {
      session: lease.session,
      release() {
        if (isLent) further -= 1;
        isLent = false;
        lease.release();
      },
    };
  }

  function leastBusy(among: readonly Slot[]): Slot | undefined {
    return among.reduce<Slot | undefined>(
      (best, one) => (best && best.load <= one.load ? best : one),
      undefined,
    );
  }

  function canGrow(most: number): boolean {
    return live().length + connecting.size < most && performance.now() >= noMoreUntil;
  }

  /** In the background: whoever asked goes on with what there is. A host may allow fewer than we would like. */
  function grow(): Promise<Slot | undefined> {
    return open().catch(() => {
      noMoreUntil = performance.now() + REFUSED_MS;
      return undefined;
    });
  }

  async function first(): Promise<Slot> {
    if (refusal && performance.now() < refusal.until) throw refusal.error;
    const [opening] = connecting;
    try {
      return await (opening ?? open());
    } catch (error) {
      if (error instanceof TransferError && !error.transient) {
        refusal = { error, until: performance.now() + REFUSED_MS };
      }
      throw error;
    }
  }

  return {
    async acquire(signal, doing) {
      const best = leastBusy(live());
      if (best) {
        if (best.load >= SHARE && canGrow(MOST)) void grow();
        return lend(best);
      }
      refuseAborted(signal, doing);
      try {
        return lend(await abortable(first(), signal, doing));
      } catch (error) {
        if (!(error instanceof TransferError) || error.code === 'canceled') throw error;
        throw new TransferError(error.code, `${doing}: ${error.message}`, {
          cause: error,
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        });
      }
    },
    present() {
      const best = leastBusy(live());
      return best && lend(best);
    },
    async another(used, most) {
      const others = live().filter(({ session }) => !used.includes(session));
      const idle = leastBusy(others.filter(({ load }) => load === 0));
      if (idle) return lendFurther(idle);
      if (!canGrow(most)) return undefined;
      const slot = await grow();
      return slot && lendFurther(slot);
    },
    window() {
      const jobs = slots.reduce((sum, { load }) => sum + load, 0) - further;
      return Math.max(LEAST, Math.floor(BUDGET / Math.max(1, jobs)));
    },
    async close() {
      era += 1;
      await Promise.allSettled(connecting);
      const all = slots;
      slots = [];
      await Promise.allSettled(all.map(({ session }) => session.close()));
    },
  };
}
