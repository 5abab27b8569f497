import { TransferError } from '../errors.ts';
import type { Dialer } from './control.ts';
import type { Reply } from './reply.ts';
import type { Session } from './session.ts';

/** Milliseconds that a server may take to notice that a data connection was closed; then a new login is cheaper. */
const PATIENCE = 2000;

/** Milliseconds to wait for what a server says of a transfer that is broken already. */
export function patience({ timeouts }: Dialer): number {
  return Math.min(PATIENCE, timeouts.firstByte * 1000);
}

/**
 * Brings a session whose data connection was broken off to where the next command can be sent, or closes it. The server
 * says something about the broken transfer, once or (some, after 426) twice; a NOOP that is answered with 200 proves
 * that nothing of it is left.
 */
export async function settle(
  session: Session,
  dialer: Dialer,
  owed: Promise<Reply> | undefined,
): Promise<void> {
  const { control } = session;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience(dialer));
  const late = new Promise<undefined>((resolve) => {
    abort.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  try {
    if (owed && !(await Promise.race([owed, late]))) return control.close();
    const reply = await control.ask('NOOP', { doing: 'settle a connection', signal: abort.signal });
    if (reply.code !== 200) control.close();
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    control.close();
  } finally {
    clearTimeout(timer);
  }
}
