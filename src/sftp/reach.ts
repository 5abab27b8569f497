import type { Session } from './session.ts';
import type { Lease, Sessions } from './sessions.ts';

/** Milliseconds of round trip from which one session cannot be kept full: an SSH channel has 2 MiB under way (channels.h). */
const FAR = 8;
const MOST = 6;
/** Milliseconds from which two more are asked for: what one session carries falls as the round trip grows. */
const VERY_FAR = 50;
const MOST_VERY_FAR = 8;
/** Bytes that make another session worth its opening. */
const WORTH = 8 * 1024 * 1024;

/** Further sessions for one file of a far host, which log in while the file is still looked at and opened. */
export interface Reach {
  /** Asks for them, once; waits for a later call while nothing says how far the host is. */
  begin(session: Session, bytes: number): void;
  /** Those under way, now the caller's to release; undefined comes where there is none to be had. */
  take(): readonly Promise<Lease | undefined>[];
  /** Gives back what nobody took. */
  drop(): void;
}

/** Nothing of it rejects: a file goes on with the session it has. */
export function createReach(sessions: Sessions): Reach {
  let hasBegun = false;
  let coming: Promise<Lease | undefined>[] = [];
  const take = () => coming.splice(0);
  return {
    begin(session, bytes) {
      const away = session.roundTrip();
      if (hasBegun || !Number.isFinite(away)) return;
      hasBegun = true;
      if (away < FAR) return;
      const most = Math.min(away < VERY_FAR ? MOST : MOST_VERY_FAR, Math.floor(bytes / WORTH));
      // All at once: far away, one login after the other takes as long as many a file.
      coming = Array.from({ length: Math.max(0, most - 1) }, () => sessions.another([session], most));
    },
    take,
    drop() {
      for (const one of take()) void one.then((lease) => lease?.release());
    },
  };
}
