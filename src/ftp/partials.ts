import { TransferError } from '../errors.ts';
import { newNonce } from '../local/writer.ts';
import { isPartialName, partialName } from '../partial-name.ts';
import type {
  Algorithm,
  Bytes,
  Digest,
  PartialCall,
  PartialWrite,
  ReadCall,
  Source,
  Staged,
  WriteCall,
} from '../protocol.ts';
import { publish, requireSize } from './commit.ts';
import type { Dialer } from './control.ts';
import type { Work } from './dial.ts';
import { digestsOf } from './hash.ts';
import { sizeOf } from './inquire.ts';
import { join, parentOf } from './paths.ts';
import type { Pool } from './pool.ts';
import type { Reply } from './reply.ts';
import { DENIED_HINT, replyError } from './reply-error.ts';
import type { Session } from './session.ts';
import { makeDirectory } from './tree.ts';
import { store } from './upload.ts';

/** Milliseconds that taking back an upload may take: the process may be on its way out. */
const TIDY_MS = 2000;

/** The uploads of one endpoint that are no files yet. */
export interface Partials {
  write(path: string, bytes: Bytes, call: WriteCall): Promise<Staged>;
  partial(path: string, call: PartialCall): Promise<PartialWrite | undefined>;
}

export interface PartialsTools {
  readonly pool: Pool;
  readonly dialer: Dialer;
  /** The command's path for a path of a URL. Throws `invalid-request`. */
  resolve(session: Session, path: string, doing: string): string;
  /** `URL` of the path, for messages. */
  show(path: string): string;
  /** Reads by the command's path. */
  read(path: string, doing: string, call: ReadCall): Promise<Source>;
}

export function createPartials(tools: PartialsTools): Partials {
  const { pool, dialer } = tools;
  /** Partials that were kept here, by path and key: whoever has no journal asks by these. */
  const kept = new Map<string, string>();
  /** Names that a write or a claim of this process holds. */
  const held = new Set<string>();

  /** What must be done whether the run goes on or not. */
  async function tidy(partial: string): Promise<void> {
    const signal = AbortSignal.timeout(TIDY_MS);
    try {
      await pool.use({ doing: 'remove a partial', signal }, async (session) => {
        await session.control.ask(`DELE ${partial}`, { doing: 'remove a partial', signal });
      });
    } catch {
      // It has a name by which it is found and removed later.
    }
  }

  async function letGo(path: string, call: WriteCall, partial: string, keep: boolean): Promise<void> {
    held.delete(partial);
    if (keep) kept.set(keyOf(path, call.key), nameOf(partial));
    else await tidy(partial);
  }

  async function write(path: string, bytes: Bytes, call: WriteCall): Promise<Staged> {
    const work = { doing: `write \`${tools.show(path)}\``, signal: call.signal };
    const start = call.resume?.ranges[0]?.end ?? 0;
    const name = call.resume?.handle ?? partialName(call.key, newNonce());
    let partial = '';
    let begun = call.resume !== undefined;
    let final = '';
    try {
      const size = await pool.use(work, async (session) => {
        final = tools.resolve(session, path, work.doing);
        partial = beside(final, name);
        held.add(partial);
        const onBegin = () => {
          begun = true;
          call.onPartial?.(name);
        };
        const count = await send({ session, dialer, work, partial, start, bytes, call, onBegin });
        await requireSize(session, partial, start + count, work);
        return start + count;
      });
      return staged({ path, partial, final, size, call, work });
    } catch (error) {
      held.delete(partial);
      if (begun) await letGo(path, call, partial, call.onPartial !== undefined && !isWrong(error));
      throw error;
    }
  }

  function staged(file: {
    readonly path: string;
    readonly partial: string;
    readonly final: string;
    readonly size: number;
    readonly call: WriteCall;
    readonly work: Work;
  }): Staged {
    const { path, partial, final, size, call, work } = file;
    return {
      read: (read) => tools.read(partial, `read back \`${tools.show(path)}\``, read),
      async commit(signal, ours) {
        try {
          const digests = await compared({ pool, partial, call, ours, work: { ...work, signal } });
          await publish({ pool, partial, path: final, size, call, work: { ...work, signal } });
          held.delete(partial);
          return { size, digests };
        } catch (error) {
          await letGo(path, call, partial, call.onPartial !== undefined && !isWrong(error));
          throw error;
        }
      },
      abort: (options) => letGo(path, call, partial, options?.keep ?? false),
    };
  }

  return {
    write,
    async partial(path, call) {
      const key = keyOf(path, call.key);
      const name = call.handle ?? kept.get(key);
      // A name that this protocol did not make would let a journal choose what is written to.
      if (name === undefined || !isPartialName(name)) return undefined;
      kept.delete(key);
      const work = { doing: `look for a partial of \`${tools.show(path)}\``, signal: call.signal };
      const found = await pool.use(work, async (session) => {
        const partial = beside(tools.resolve(session, path, work.doing), name);
        if (held.has(partial)) return undefined;
        const size = await sizeOf(session, partial, work);
        if (size === undefined) return undefined;
        held.add(partial);
        return { partial, size };
      });
      if (!found) return undefined;
      const { partial, size } = found;
      return {
        ranges: [{ start: 0, end: size }],
        handle: name,
        read: (read) => tools.read(partial, `read back \`${tools.show(path)}\``, read),
        async release(keep) {
          held.delete(partial);
          if (keep) kept.set(key, name);
          else await tidy(partial);
        },
      };
    },
  };
}

/** Wrong content is of no use to a later try. */
function isWrong(error: unknown): boolean {
  return (
    error instanceof TransferError && (error.code === 'size-mismatch' || error.code === 'digest-mismatch')
  );
}

/**
 * What the server computes of the partial, in the algorithms that somebody expects something of: compared before
 * anything is visible. Without expectations it is not asked: it reads the whole file for that. Rejects with
 * `digest-mismatch`.
 */
async function compared(what: {
  readonly pool: Pool;
  readonly partial: string;
  readonly call: WriteCall;
  readonly ours: ReadonlyMap<Algorithm, string> | undefined;
  readonly work: Work;
}): Promise<readonly Digest[]> {
  const { pool, partial, call, ours, work } = what;
  const expected = (call.expected ?? []).filter(({ partSize }) => partSize === undefined);
  if (expected.length === 0) return [];
  const algorithms = [...new Set(expected.map(({ algorithm }) => algorithm))];
  const theirs = await call.retry(async (signal) => {
    const now = { ...work, signal };
    try {
      return await pool.use(now, (session) => digestsOf(session, partial, algorithms, now));
    } catch (error) {
      // A server that offers it and refuses proves nothing either way.
      if (error instanceof TransferError && !error.transient && error.code !== 'canceled') return [];
      throw error;
    }
  });
  for (const { algorithm, value } of theirs) {
    const wanted = ours?.get(algorithm) ?? expected.find((one) => one.algorithm === algorithm)?.value;
    if (wanted === value) continue;
    throw new TransferError(
      'digest-mismatch',
      `${work.doing}: the server has other bytes than were sent (${algorithm})`,
    );
  }
  return theirs;
}

function keyOf(path: string, key: string): string {
  return `${key} ${path}`;
}

function nameOf(partial: string): string {
  return partial.slice(partial.lastIndexOf('/') + 1);
}

function beside(path: string, name: string): string {
  const parent = parentOf(path);
  return parent === undefined ? name : join(parent, name);
}

interface Sending {
  readonly session: Session;
  readonly dialer: Dialer;
  readonly work: Work;
  readonly partial: string;
  readonly start: number;
  readonly bytes: Bytes;
  readonly call: WriteCall;
  readonly onBegin: () => void;
}

/** STOR, with the directories above made when they are missing; behind `start` REST and STOR, or APPE where it may not be. */
async function send(sending: Sending): Promise<number> {
  const { session, dialer, work, partial, start, bytes, call, onBegin } = sending;
  const size = call.size === undefined ? undefined : call.size - start;
  const attempt = (commands: readonly string[]) =>
    store({ session, dialer, work, commands, bytes, size, onBegin });
  if (start > 0) return sendRest(sending, attempt);
  const first = await attempt([`STOR ${partial}`]);
  if ('count' in first) return first.count;
  const parent = parentOf(partial);
  // Servers call a missing directory by many names; 4xx and a full disk are none of them.
  if (parent === undefined || first.code < 550 || first.code === 552 || !session.control.isOpen()) {
    throw replyError(first, work.doing);
  }
  const refused = replyError(first, work.doing);
  if (refused.code !== 'not-found' && refused.code !== 'permission-denied') throw refused;
  await makeDirectory(session, parent, work).catch((error: unknown) => {
    throw error instanceof TransferError && error.code === 'not-found' ? refused : error;
  });
  const second = await attempt([`STOR ${partial}`]);
  if ('count' in second) return second.count;
  const still = replyError(second, work.doing);
  // The directory is there: what is left of `no such file` is that we may not write into it.
  throw still.code === 'not-found'
    ? new TransferError('permission-denied', still.message, { hint: DENIED_HINT })
    : still;
}

async function sendRest(
  { session, work, partial, start }: Sending,
  attempt: (commands: readonly string[]) => Promise<{ readonly count: number } | Reply>,
): Promise<number> {
  const rest = await attempt([`REST ${start}`, `STOR ${partial}`]);
  if ('count' in rest) return rest.count;
  // APPE begins where the partial ends: only good when that is where we are.
  if ((await sizeOf(session, partial, work)) === start) {
    const appended = await attempt([`APPE ${partial}`]);
    if ('count' in appended) return appended.count;
  }
  const text = `${work.doing}: the server cannot go on with a partial (${rest.code})`;
  throw new TransferError('changed', text);
}
