import { toTransferError } from '../errors.ts';
import type { PartialCall, PartialWrite } from '../protocol.ts';
import { statOf } from './attributes.ts';
import { lookAt } from './files.ts';
import { bookKey, isPartialOf } from './partials.ts';
import type { SinkTools } from './sink.ts';
import { openSource } from './source.ts';
import { dropPartial } from './staged.ts';

/**
 * The partial that an earlier try of this process kept, or the one that `call.handle` of a journal names, claimed for
 * this process; its prefix can be read back, which proves it. Undefined when there is none, or somebody has it.
 */
export async function claimPartial(
  { sessions, book }: SinkTools,
  path: string,
  call: PartialCall,
): Promise<PartialWrite | undefined> {
  const key = bookKey(path, call.key);
  const kept = book.kept.get(key);
  const partial = kept?.partial ?? call.handle;
  if (partial === undefined || !isPartialOf(partial, path, call.key) || book.claimed.has(partial))
    return undefined;
  book.claimed.add(partial);
  const doing = `write \`${path}\``;
  try {
    const lease = await sessions.acquire(call.signal, doing);
    const there = await lookAt(lease.session, partial, doing).finally(lease.release);
    book.kept.delete(key);
    const stat = there && statOf(there);
    if (stat?.type !== 'file') {
      book.claimed.delete(partial);
      return undefined;
    }
    // With several requests under way the end of the file may have holes before it.
    const end = Math.min(stat.size ?? 0, kept?.end ?? Number.POSITIVE_INFINITY);
    return {
      ranges: [{ start: 0, end }],
      handle: partial,
      read: (read) => openSource(sessions, partial, read),
      async release(keep) {
        if (keep) book.kept.set(key, { partial, end });
        else await dropPartial(sessions, partial, call.signal);
        book.claimed.delete(partial);
      },
    };
  } catch (error) {
    book.claimed.delete(partial);
    throw toTransferError(error, doing);
  }
}
