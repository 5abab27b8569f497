import { TransferError } from './errors.ts';
import { type BlockDigests, oneBlock } from './integrity/block-digests.ts';
import type { Hasher } from './integrity/hasher.ts';
import type { Requirement } from './integrity/policy.ts';
import { blockBytes } from './journal.ts';
import { type Opened, openSource } from './opening.ts';
import type { Verification, Versions } from './outcome.ts';
import { check, conclude, isProvenWrong } from './proof.ts';
import type { Algorithm, Bytes, Digest, Endpoint, RetryUnit, Staged, WriteCall } from './protocol.ts';
import { readBack, wantsReadBack } from './read-back.ts';
import type { RemoteJournals } from './remote-journals.ts';
import { fault, hash, resume, throttle } from './stages.ts';
import { startRecord, type WriteRecord } from './write-record.ts';

/** One side of a transfer. */
export interface Side {
  readonly endpoint: Endpoint;
  readonly path: string;
  /** For messages and the journal; no secrets. */
  readonly name: string;
}

/** What one stream is to do, and what the engine lends it. */
export interface StreamCall {
  readonly from: Side;
  readonly to: Side;
  /** Names the partial; made from the destination. */
  readonly key: string;
  readonly algorithms: readonly Algorithm[];
  readonly expected: readonly Digest[];
  readonly size: number | undefined;
  /** Read the stored bytes back before (where possible) or after they are visible. */
  readonly verifyWritten: boolean;
  /** What both sides must be verified by; undefined for anything. */
  readonly require?: Requirement | undefined;
  /** Past caches and proxies. */
  readonly fresh: boolean;
  readonly preserve: boolean;
  readonly onlyNew?: boolean;
  /** The digests of its blocks, too; needs sha256 among the algorithms. */
  readonly blocks?: boolean;
  /** Text to append behind the verified bytes, when a fault is to be put in. */
  readonly fault: string | undefined;
  readonly signal: AbortSignal;
  readonly retry: RetryUnit;
  /** Where it is written down what lies unfinished on services; undefined when nothing is to be left there. */
  readonly journals: RemoteJournals | undefined;
  readonly limiter: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined;
  /** Waits for room in the memory budget; resolves with what gives it back. */
  readonly lend: (
    size: number | undefined,
    /** Bytes that the endpoints hold by themselves. */
    held: number,
    signal: AbortSignal,
  ) => Promise<() => void> | (() => void);
  readonly events: StreamEvents;
  /** Waits, when everything is compared and before anything is visible, until all of a group may be committed. */
  readonly hold?: () => Promise<void>;
}

/** Told as a stream goes on. */
export interface StreamEvents {
  readonly onSize: (bytes: number) => void;
  readonly onProgress: (bytes: number) => void;
  /** Went on behind what an earlier attempt left; `onProgress` does not count those bytes. */
  readonly onResume: (offset: number, why: string) => void;
  /** A read that broke off goes on. */
  readonly onContinue: (offset: number, why: string) => void;
  readonly onStartOver: (why: string) => void;
  /** The bytes are visible under their name. A failure after this is one of content that could be seen. */
  readonly onVisible: () => void;
}

export interface StreamResult {
  readonly route: 'stream';
  readonly bytes: number;
  readonly resumedFrom: number;
  readonly digests: ReadonlyMap<Algorithm, string>;
  readonly blocks?: BlockDigests;
  readonly source: Verification;
  readonly destination: Verification;
  readonly notes: readonly string[];
  readonly versions: Versions;
}

/**
 * Moves one file from one endpoint to another: read, stages, write, check, read back where asked, commit, compare.
 * Nothing is visible under the destination's name before everything that can be compared was found equal; a failure
 * leaves what was there before, and a partial only where a journal can prove it.
 */
export async function stream(call: StreamCall): Promise<StreamResult> {
  const opened = await openSource(call);
  let counted = opened.start;
  const count = (bytes: number) => {
    counted += bytes;
    call.events.onProgress(bytes);
  };
  try {
    if (opened.source.size !== undefined) call.events.onSize(opened.source.size);
    const giveMemory = await call.lend(opened.source.size, heldBytes(call, opened.source.size), call.signal);
    try {
      return await pump(call, opened, { count, giveMemory });
    } finally {
      giveMemory();
    }
  } catch (error) {
    if (counted > 0) call.events.onProgress(-counted);
    throw error;
  } finally {
    opened.hasher.close();
    await opened.source.discard?.();
    if (opened.last !== opened.source) await opened.last.discard?.();
  }
}

function unwritable(name: string): TransferError {
  const isRegistry = /^(?:docker|oci|oras):/.test(name);
  return new TransferError('unsupported', `write \`${name}\`: this protocol cannot be written to`, {
    ...(isRegistry ? { hint: `\`bridle image push FILE ${name}\` sends an image to a registry` } : {}),
  });
}

function heldBytes({ from, to }: StreamCall, size: number | undefined): number {
  return (from.endpoint.memory?.(size, 'read') ?? 0) + (to.endpoint.memory?.(size, 'write') ?? 0);
}

async function pump(
  call: StreamCall,
  opened: Opened,
  { count, giveMemory }: { readonly count: (bytes: number) => void; readonly giveMemory: () => void },
): Promise<StreamResult> {
  const { hasher, start } = opened;
  const write = call.to.endpoint.write;
  if (!write) throw unwritable(call.to.name);
  let record: WriteRecord | undefined;
  let staged: Staged | undefined;
  let received = start;
  const onBytes = (n: number) => {
    received += n;
    count(n);
  };
  try {
    record = startRecord(call, opened);
    const bytes = stages(call, opened, onBytes, record);
    staged = await write(call.to.path, bytes, writeOptions(call, opened, record?.onPartial));
    const digests = await hasher.digests();
    const blocks = call.blocks ? await blocksOf(hasher, received, digests) : undefined;
    const grading = await check(call, opened, received, digests);
    const isConfirmed = wantsReadBack(call, staged) && (await readBack(call, staged, digests));
    if (call.hold) {
      // No byte is on its way any more, and others may need the memory to get here.
      giveMemory();
      await call.hold();
    }
    const whole = staged;
    // A commit that fails has cleared up, or kept, by itself: an abort after it would close what is not ours any more.
    staged = undefined;
    const stored = await whole.commit(call.signal, digests);
    call.events.onVisible();
    record?.end('gone');
    record = undefined;
    return await conclude(call, opened, {
      bytes: received,
      digests,
      ...(blocks ? { blocks } : {}),
      grading,
      stored,
      isConfirmed,
    });
  } catch (error) {
    await closeBroken(call, { hasher, record, staged, isWrong: isProvenWrong(error) });
    throw error;
  }
}

async function blocksOf(
  hasher: Hasher,
  bytes: number,
  digests: ReadonlyMap<Algorithm, string>,
): Promise<BlockDigests | undefined> {
  return (await hasher.blocks?.()) ?? oneBlock(bytes, digests.get('sha256'));
}

/** Keeps what a later try can go on from; a partial without one proven block, or of wrong content, is of no use to it. */
async function closeBroken(
  call: StreamCall,
  broken: {
    readonly hasher: Hasher;
    readonly record: WriteRecord | undefined;
    readonly staged: Staged | undefined;
    readonly isWrong: boolean;
  },
): Promise<void> {
  const { record, staged, hasher, isWrong } = broken;
  if (!record) return staged?.abort();
  // Answers come in order: behind this one, every block that was sent for hashing is in the journal.
  await hasher.prefix().catch(() => undefined);
  const keep = !isWrong && record.isWorthKeeping();
  const isGone = staged ? await dropStaged(staged, keep) : keep || (await dropPartial(call, record));
  // What could not be removed is left written down, for those who clean up.
  record.end(keep ? 'kept' : isGone ? 'gone' : 'left');
}

async function dropStaged(staged: Staged, keep: boolean): Promise<boolean> {
  try {
    await staged.abort({ keep });
    return true;
  } catch {
    return false;
  }
}

async function dropPartial(call: StreamCall, record: WriteRecord): Promise<boolean> {
  const { endpoint, path } = call.to;
  const handle = record.handle();
  // Nothing was begun; what has the same key on a service may be another writer's.
  if (!endpoint.isLocal && handle === undefined) return true;
  try {
    const { key, signal } = call;
    const kept = await endpoint.partial?.(path, { key, signal, handle });
    await kept?.release(false);
    return true;
  } catch {
    return false;
  }
}

function stages(
  call: StreamCall,
  opened: Opened,
  count: (bytes: number) => void,
  record: WriteRecord | undefined,
): Bytes {
  const { source, hasher, start, algorithms } = opened;
  const hashes = algorithms.length > 0;
  // Small files come in one chunk: one generator that does everything is worth a quarter of their time.
  const tap = (chunk: Uint8Array) => {
    count(chunk.length);
    return hashes && !record ? hasher.update(chunk) : undefined;
  };
  let bytes: Bytes = resume(source, {
    from: call.from.endpoint,
    path: call.from.path,
    start,
    fresh: call.fresh,
    signal: call.signal,
    tap,
    onContinue: (at, why, rest) => {
      opened.last = rest;
      call.events.onContinue(at, why);
    },
  });
  if (hashes && record) {
    bytes = hash(bytes, hasher, { start, blockBytes: blockBytes(source.size), onBlock: record.onBlock });
  }
  if (call.limiter) bytes = throttle(bytes, call.limiter, call.signal);
  return call.fault === undefined ? bytes : fault(bytes, call.fault);
}

function writeOptions(call: StreamCall, opened: Opened, onPartial?: (handle: string) => void): WriteCall {
  const { source, claim } = opened;
  return {
    key: call.key,
    signal: call.signal,
    retry: call.retry,
    expected: call.expected,
    size: call.fault === undefined ? source.size : undefined,
    mode: source.mode,
    exactMode: call.preserve ? source.mode : undefined,
    modified: call.preserve ? source.modified : undefined,
    onlyNew: call.onlyNew,
    resume: claim && { ...claim, ranges: [{ start: 0, end: opened.start }] },
    onPartial,
  };
}
