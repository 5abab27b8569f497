import { TransferError } from './errors.ts';
import { createHasher, type Hasher, NO_HASHER } from './integrity/hasher.ts';
import type { PrefixDigest } from './integrity/prefix.ts';
import { wantedAlgorithms } from './integrity/verification.ts';
import { isJournaled, type Opened, readFrom, refuseWrongSize } from './opening.ts';
import { hashPrefix } from './prefix-proof.ts';
import type { Algorithm, PartialWrite, Source } from './protocol.ts';
import type { RemoteJournal } from './remote-journals.ts';
import { resume } from './stages.ts';
import type { StreamCall } from './stream.ts';

/** After these nothing is known of the partial: a later try may find it. */
const UNDECIDED = new Set(['unauthenticated', 'permission-denied', 'canceled']);

/** How far what is stored was proven, and the digests of exactly that. */
interface Proven {
  readonly start: number;
  readonly hasher: Hasher;
  readonly algorithms: readonly Algorithm[];
  readonly blocks: readonly PrefixDigest[];
  readonly why: string;
}

/**
 * Goes on behind what an earlier try left on a service: what the journal says of it is believed when the service's
 * acknowledgement proves the bytes, else as far as reading them back does. What is of no use is removed there and here.
 */
export function openBehindRemote(call: StreamCall): undefined | Promise<Opened | undefined> {
  const left = call.to.endpoint.partial && call.journals?.claim(call.key);
  return left && openFirst(call, left);
}

async function openFirst(call: StreamCall, first: RemoteJournal): Promise<Opened | undefined> {
  for (let left: RemoteJournal | undefined = first; left; left = call.journals?.claim(call.key)) {
    const opened = await openBehind(call, left);
    if (typeof opened !== 'string') return opened;
    call.events.onStartOver(opened);
  }
  return undefined;
}

/** The source behind what is proven, or why that cannot be. */
async function openBehind(call: StreamCall, left: RemoteJournal): Promise<Opened | string> {
  let claim: PartialWrite | undefined;
  let proven: Proven | string | undefined;
  let isDecided = false;
  try {
    claim = await claimStored(call, left);
    proven = claim
      ? await prove(call, left, claim)
      : 'the service has nothing left of the interrupted transfer';
    if (typeof proven !== 'string' && claim) {
      const opened = await openAt(call, left, claim, proven);
      isDecided = true;
      if (opened) return opened;
      proven.hasher.close();
      proven = 'the source changed since the interrupted transfer';
    }
    isDecided = true;
    await drop(claim, left);
    return typeof proven === 'string' ? proven : '';
  } catch (error) {
    if (typeof proven === 'object') proven.hasher.close();
    if (!isDecided) await claim?.release(true);
    left.release();
    throw error;
  }
}

/** What cannot be removed now must not hold up this transfer: it stays written down for those who clean up. */
async function drop(claim: PartialWrite | undefined, left: RemoteJournal): Promise<void> {
  try {
    await claim?.release(false);
    left.remove();
  } catch {
    left.leave();
  }
}

async function claimStored(call: StreamCall, left: RemoteJournal): Promise<PartialWrite | undefined> {
  const { endpoint, path } = call.to;
  try {
    return await endpoint.partial?.(path, { key: call.key, signal: call.signal, handle: left.handle() });
  } catch (error) {
    // A handle that makes no sense to the endpoint is as good as none.
    if (error instanceof TransferError && !error.transient && !UNDECIDED.has(error.code)) return undefined;
    throw error;
  }
}

async function prove(call: StreamCall, left: RemoteJournal, claim: PartialWrite): Promise<Proven | string> {
  const header = left.found?.header;
  if (!header) return 'the journal of the interrupted transfer cannot be read';
  if (header.source !== call.from.name) return 'the interrupted transfer was from another source';
  if (header.destination !== call.to.name) return 'the interrupted transfer was to another destination';
  const [first] = claim.ranges;
  const end = first?.start === 0 ? first.end : 0;
  if (end === 0 || end > (header.size ?? Number.POSITIVE_INFINITY))
    return 'nothing of the interrupted transfer could be proven';
  const proven = await (claim.isProven
    ? proveByService(call, left, end)
    : proveByReading(call, left, claim, end));
  return proven ?? 'nothing of the interrupted transfer could be proven';
}

/** The service vouches for its bytes; the source's are read again only where a digest of the whole is wanted. */
async function proveByService(call: StreamCall, left: RemoteJournal, end: number): Promise<Proven | string> {
  const changed = 'the source changed since the interrupted transfer';
  const { header, blocks } = left.found!;
  const look = await sourceAt(call, header.version, end, header.size);
  if (!look) return changed;
  await look.discard?.();
  const wanted = wantedAlgorithms({
    // What the source compares reaches across the place where it goes on: what was sent before must be the same.
    asked: look.proven ? [...call.algorithms, 'sha256'] : call.algorithms,
    expected: call.expected,
    source: look,
    destination: call.to.endpoint.digestsOnWrite ?? [],
    journaled: false,
  });
  const why = 'an earlier attempt left it';
  if (wanted.length === 0) return { start: end, hasher: NO_HASHER, algorithms: [], blocks, why };
  const algorithms: readonly Algorithm[] = isJournaled(call, look)
    ? [...new Set([...wanted, 'sha256' as const])]
    : wanted;
  const again = await readAgain(call, header.version);
  if (!again) return changed;
  const known = blocks.filter((block) => block.end <= end);
  const hasher = await createHasher(algorithms, undefined, call);
  try {
    const proven = await hashPrefix(again, {
      hasher,
      end,
      blocks: algorithms.includes('sha256') ? known : [],
      call,
    });
    if (proven === end) {
      const note = `${why}; ${end} bytes of the source were read again for its digest`;
      return { start: end, hasher, algorithms, blocks: known, why: note };
    }
  } catch (error) {
    hasher.close();
    throw error;
  }
  hasher.close();
  return changed;
}

/** Twice at most: a digest cannot be wound back to before the block that turned out to be wrong. */
async function proveByReading(
  call: StreamCall,
  left: RemoteJournal,
  claim: PartialWrite,
  end: number,
): Promise<Proven | undefined> {
  const { header, blocks } = left.found!;
  // At least one byte of the source is read again, so that its version is checked in any case.
  const most = Math.min(end, (header.size ?? Number.POSITIVE_INFINITY) - 1);
  let usable = blocks.filter((block) => block.end <= most);
  const asked = [
    ...header.algorithms,
    ...call.algorithms,
    ...call.expected.map((digest) => digest.algorithm),
  ];
  const algorithms = [
    ...new Set<Algorithm>([...asked, ...(call.to.endpoint.digestsOnWrite ?? []), 'sha256']),
  ];
  for (let pass = 1; pass <= 2 && claim.read; pass += 1) {
    const last = usable.at(-1)?.end ?? 0;
    if (last === 0) return undefined;
    const stored = await claim.read({ signal: call.signal, range: { start: 0, end: last } });
    const hasher = await createHasher(algorithms, undefined, call);
    try {
      const proven = await hashPrefix(stored, { hasher, end: last, blocks: usable, call });
      if (proven === last) {
        return { start: last, hasher, algorithms, blocks: usable, why: 'an earlier attempt left it' };
      }
      usable = usable.filter((block) => block.end <= proven);
    } catch (error) {
      hasher.close();
      throw error;
    }
    hasher.close();
  }
  return undefined;
}

/** The source from its start, going on where a read breaks off. */
async function readAgain(call: StreamCall, version: string): Promise<Source | undefined> {
  const source = await readFrom(call, version, 0);
  if (!source || source.version !== version) {
    await source?.discard?.();
    return undefined;
  }
  const { endpoint, path } = call.from;
  const { signal, fresh } = call;
  const bytes = resume(source, {
    from: endpoint,
    path,
    start: 0,
    fresh,
    signal,
    onContinue: () => undefined,
  });
  return { ...source, bytes };
}

async function openAt(
  call: StreamCall,
  left: RemoteJournal,
  claim: PartialWrite,
  proven: Proven,
): Promise<Opened | undefined> {
  const { start, hasher, algorithms, blocks } = proven;
  const { version, size } = left.found!.header;
  const source = await sourceAt(call, version, start, size, claim);
  if (!source) return undefined;
  try {
    refuseWrongSize(call, source.size);
  } catch (error) {
    await source.discard?.();
    throw error;
  }
  call.events.onResume(start, proven.why);
  return { source, last: source, hasher, start, claim, record: left, blocks, algorithms };
}

/** Nothing comes behind the last byte, and servers refuse to say so: then it is only looked at. */
async function sourceAt(
  call: StreamCall,
  version: string,
  start: number,
  size: number | undefined,
  claim?: PartialWrite,
): Promise<Source | undefined> {
  if (start !== size) {
    const source = await readFrom(call, version, start, claim);
    if (source?.version === version) return source;
    await source?.discard?.();
    return undefined;
  }
  const stat = await call.from.endpoint.stat(call.from.path, { signal: call.signal });
  return stat.version === version ? { ...stat, bytes: nothing() } : undefined;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
