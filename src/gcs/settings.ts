import { TransferError } from '../errors.ts';
import type { Settings } from '../protocol.ts';

/** More at a time gain nothing, and each of them is held in memory. */
const MOST = 16;

/**
 * `BRIDLE_GS_PARALLEL`: how many components of a large object are uploaded at a time; nothing, `0` or `off` for one
 * stream. Throws `invalid-request` for any other word.
 */
export function gsSettings(env: Readonly<Record<string, string | undefined>>): Settings['gs'] {
  const word = env.BRIDLE_GS_PARALLEL?.toLowerCase() ?? '';
  if (word === '' || word === '0' || word === 'off') return undefined;
  if (/^\d{1,2}$/.test(word) && Number(word) <= MOST) return { parallel: Number(word) };
  throw new TransferError(
    'invalid-request',
    `BRIDLE_GS_PARALLEL: expected a number up to ${MOST} or \`off\`, got \`${word}\``,
  );
}
