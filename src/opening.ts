import { TransferError } from './errors.ts';
import { createHasher, type Hasher, NO_HASHER } from './integrity/hasher.ts';
import { refuseUnprovable } from './integrity/policy.ts';
import type { PrefixDigest } from './integrity/prefix.ts';
import { wantedAlgorithms } from './integrity/verification.ts';
import { JOURNAL_BYTES, readJournal } from './journal.ts';
import type { Algorithm, Bytes, PartialWrite, Source } from './protocol.ts';
import type { RemoteJournal } from './remote-journals.ts';
import { openBehindRemote } from './resuming.ts';
import { skipping } from './skipping.ts';
import type { StreamCall } from './stream.ts';

/** A source opened where the transfer goes on, with a hasher that knows everything before. */
export interface Opened {
  readonly source: Source;
  /** Where the last bytes came from: another answer than `source` when that one broke off. */
  last: Source;
  readonly hasher: Hasher;
  readonly start: number;
  readonly claim?: PartialWrite;
  /** What is written down of `claim`, for one on a service. */
  readonly record?: RemoteJournal;
  readonly blocks: readonly PrefixDigest[];
  readonly algorithms: readonly Algorithm[];
}

/** Opens the source, behind what an earlier attempt left where that can be proven. */
export async function openSource(call: StreamCall): Promise<Opened> {
  const resuming = call.to.endpoint.isLocal ? openBehindLocal(call) : openBehindRemote(call);
  const resumed = resuming instanceof Promise ? await resuming : resuming;
  if (resumed) return resumed;
  const source = await call.from.endpoint.read(call.from.path, {
    signal: call.signal,
    fresh: call.fresh,
  });
  try {
    refuseWrongSize(call, source.size);
    if (call.require) refuseUnprovable(call.require, unprovenOf(call, source));
    const algorithms = wantedAlgorithms({
      asked: call.algorithms,
      expected: call.expected,
      source,
      destination: call.to.endpoint.digestsOnWrite ?? [],
      journaled: isJournaled(call, source),
      isToDisk: call.to.endpoint.isLocal ?? false,
    });
    const made = algorithms.length === 0 ? NO_HASHER : createHasher(algorithms, source.size, call);
    const hasher = made instanceof Promise ? await made : made;
    return { source, last: source, hasher, start: 0, blocks: [], algorithms };
  } catch (error) {
    await source.discard?.();
    throw error;
  }
}

function unprovenOf(call: StreamCall, source: Source) {
  const { size, expected } = call;
  return { source, size, expected, from: call.from.name, to: call.to.name };
}

/** Most files have nothing left of them, and no promise is made then. */
function openBehindLocal(call: StreamCall): undefined | Promise<Opened | undefined> {
  const claiming = call.to.endpoint.partial?.(call.to.path, { key: call.key, signal: call.signal });
  if (claiming === undefined) return undefined;
  return Promise.resolve(claiming).then(async (claim) => {
    const resumed = claim && (await openBehind(call, claim));
    if (!resumed) await claim?.release(false);
    return resumed;
  });
}

/** Goes on behind what an earlier try left, when its journal says it is of this source and its bytes prove it. */
async function openBehind(call: StreamCall, claim: PartialWrite): Promise<Opened | undefined> {
  const journal = readJournal(claim.handle);
  if (!journal || journal.blocks.length === 0) return undefined;
  const { header } = journal;
  if (header.source !== call.from.name) {
    call.events.onStartOver('the interrupted transfer was from another source');
    return undefined;
  }
  // At least one byte is read again, so that the source's version is checked in any case.
  const blocks = journal.blocks.filter((block) => block.end < (header.size ?? Number.POSITIVE_INFINITY));
  const algorithms = [
    ...new Set([...header.algorithms, ...call.algorithms, ...call.expected.map((d) => d.algorithm)]),
  ];
  const hasher = await createHasher(algorithms, undefined, call);
  try {
    const start = await hasher.resumeFrom(claim.handle, blocks);
    if (start === 0) {
      hasher.close();
      call.events.onStartOver('nothing of the interrupted transfer could be proven');
      return undefined;
    }
    const source = await readFrom(call, header.version, start, claim);
    if (source && source.version === header.version) {
      try {
        refuseWrongSize(call, source.size);
      } catch (error) {
        await source.discard?.();
        throw error;
      }
      call.events.onResume(start, 'an earlier attempt left it');
      return {
        source,
        last: source,
        hasher,
        start,
        claim,
        blocks: blocks.filter((block) => block.end <= start),
        algorithms,
      };
    }
    await source?.discard?.();
    hasher.close();
    call.events.onStartOver('the source changed since the interrupted transfer');
    return undefined;
  } catch (error) {
    hasher.close();
    await claim.release(true);
    throw error;
  }
}

/**
 * The source from `start` on, where `claim` has what came before; undefined when it is no longer `version`, or cannot be
 * read from there.
 */
export async function readFrom(
  call: StreamCall,
  version: string,
  start: number,
  claim?: PartialWrite,
): Promise<Source | undefined> {
  try {
    return await call.from.endpoint.read(call.from.path, {
      signal: call.signal,
      version,
      range: { start },
      ...(call.fresh ? { fresh: true } : {}),
      ...(claim?.read ? { before: (from) => storedBytes(call, claim, from, start) } : {}),
    });
  } catch (error) {
    const code = error instanceof TransferError ? error.code : undefined;
    if (code === 'changed' || code === 'range-ignored') return undefined;
    throw error;
  }
}

/** What a partial has from `from` up to `end`. */
async function storedBytes(call: StreamCall, claim: PartialWrite, from: number, end: number): Promise<Bytes> {
  const start = call.to.endpoint.isLocal ? from : 0;
  const source = await claim.read?.({ signal: call.signal, range: { start, end } });
  if (!source)
    throw new TransferError('unexpected', `read what is left of \`${call.to.name}\`: it cannot be read`);
  return skipping(source.bytes, from - start);
}

/** Throws `size-mismatch` when the source is not as long as the item says. */
export function refuseWrongSize(call: StreamCall, size: number | undefined): void {
  if (call.size === undefined || size === undefined || call.size === size) return;
  throw new TransferError(
    'size-mismatch',
    `read \`${call.from.name}\`: expected ${call.size} bytes, it has ${size}`,
  );
}

/** True when a broken transfer can be gone on with: the destination keeps partials, something proves them, and the source has a version. */
export function isJournaled(call: StreamCall, source: Source): boolean {
  const { isLocal, partial } = call.to.endpoint;
  return (
    (isLocal === true || call.journals !== undefined) &&
    partial !== undefined &&
    source.version !== undefined &&
    (source.size === undefined || source.size >= JOURNAL_BYTES)
  );
}
