import { onAbort } from '../abort.ts';
import { TransferError } from '../errors.ts';
import { canceled, type Work } from './dial.ts';
import type { Session } from './session.ts';

/** After this many milliseconds without use a connection may be gone without our knowing: it is asked first. */
const TRUSTED = 3000;
/** Milliseconds for which an idle connection is kept: a login takes ten round trips, but servers count their clients. */
const KEPT = 20_000;

/**
 * Sessions of one kind. Those that read and those that do everything else are counted apart: a file on its way from a
 * server to the same server holds one of each, and many such files would wait for one another for ever.
 */
export interface Pool {
  /** An idle session, else a new one, else the next one that comes free, in order of asking. */
  acquire(work: Work): Promise<Session>;
  /** One that is closed or owes something is dropped. */
  release(session: Session): void;
  /** `task` with a session of its own. */
  use<T>(work: Work, task: (session: Session) => Promise<T>): Promise<T>;
  /** Closes what was idle for long. True while idle sessions are left. */
  sweep(now: number): boolean;
  close(): void;
}

interface Waiter {
  readonly work: Work;
  readonly forget: () => void;
  resolve(session: Session | undefined): void;
  reject(error: TransferError): void;
}

/** At most `limit` sessions at a time, fewer once the server says that there are too many. */
export function createPool(limit: number, open: (work: Work) => Promise<Session>): Pool {
  const idle: Session[] = [];
  const waiting: Waiter[] = [];
  const all = new Set<Session>();
  /** Sessions that exist or are being made. */
  let count = 0;
  let allowed = limit;
  let isClosed = false;

  async function make(work: Work): Promise<Session> {
    count += 1;
    let session: Session;
    try {
      session = await open(work);
    } catch (error) {
      count -= 1;
      // One client too many: those that there are go on with everything.
      if (error instanceof TransferError && error.code === 'rate-limited' && count > 0) {
        allowed = count;
        return await queue(work);
      }
      serve();
      throw error;
    }
    all.add(session);
    session.control.onClose(() => {
      all.delete(session);
      const at = idle.indexOf(session);
      if (at >= 0) idle.splice(at, 1);
      count -= 1;
      serve();
    });
    return session;
  }

  /** A place has come free. */
  function serve(): void {
    if (count >= allowed) return;
    const waiter = waiting.shift();
    waiter?.forget();
    waiter?.resolve(undefined);
  }

  async function queue(work: Work): Promise<Session> {
    const given = await new Promise<Session | undefined>((resolve, reject) => {
      const forget = onAbort(work.signal, () => {
        const at = waiting.indexOf(waiter);
        if (at >= 0) waiting.splice(at, 1);
        reject(canceled(work));
      });
      const waiter: Waiter = { work, forget, resolve, reject };
      waiting.push(waiter);
    });
    return given ?? make(work);
  }

  async function acquire(work: Work): Promise<Session> {
    if (work.signal.aborted) throw canceled(work);
    for (let session = idle.pop(); session; session = idle.pop()) {
      session.control.idle(false);
      if (await isAlive(session, work)) return session;
    }
    return count < allowed ? make(work) : queue(work);
  }

  function release(session: Session): void {
    const { control } = session;
    if (!control.isOpen()) return;
    if (!control.isClean() || isClosed) {
      control.close();
      return;
    }
    const waiter = waiting.shift();
    if (waiter) {
      waiter.forget();
      waiter.resolve(session);
      return;
    }
    session.idleSince = performance.now();
    control.idle(true);
    idle.push(session);
  }

  return {
    acquire,
    release,
    async use(work, task) {
      const session = await acquire(work);
      try {
        return await task(session);
      } finally {
        release(session);
      }
    },
    sweep(now) {
      for (const session of [...idle]) if (now - session.idleSince > KEPT) session.control.close();
      return idle.length > 0;
    },
    close() {
      isClosed = true;
      for (const session of [...idle]) session.control.close();
    },
  };
}

/** A server closes idle connections when it likes. */
async function isAlive({ control, idleSince }: Session, work: Work): Promise<boolean> {
  if (!control.isOpen() || !control.isClean()) {
    control.close();
    return false;
  }
  if (performance.now() - idleSince < TRUSTED) return true;
  try {
    const reply = await control.ask('NOOP', work);
    if (reply.code === 200) return true;
  } catch (error) {
    if (work.signal.aborted) throw error;
  }
  control.close();
  return false;
}
