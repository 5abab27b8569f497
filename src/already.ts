import type { AttemptCall, AttemptResult, Ends } from './attempt.ts';
import { TransferError } from './errors.ts';
import { compareDigests } from './integrity/digests.ts';
import { type Requirement, reaches } from './integrity/policy.ts';
import type { Trusted } from './integrity/trusted.ts';
import { formatLocation } from './location.ts';
import type { RouteKind, Verification } from './outcome.ts';
import type { Algorithm, Digest, Endpoint, Stat } from './protocol.ts';

/** A destination that already is the source: nothing to move, and nothing to put at risk. */
export async function sameFile(
  ends: Ends,
  call: AttemptCall,
  kind: RouteKind,
  required: Requirement,
): Promise<AttemptResult | undefined> {
  if (!ends.from.isLocal || !ends.to.isLocal) return undefined;
  const { signal } = call;
  const there = await statOrAbsent(ends.to, ends.destination.location.path, signal);
  if (there?.type !== 'file') return undefined;
  const here = await statOrAbsent(ends.from, ends.source.location.path, signal);
  if (!here || here.version === undefined || here.version !== there.version) return undefined;
  const digests = await digestSourceOf(ends, call, required);
  const note =
    kind === 'link' ? 'the link would point to itself' : 'source and destination are the same file';
  return nothingMoved(here, digests, call.expected, [note]);
}

async function statOrAbsent(
  endpoint: Endpoint,
  path: string,
  signal: AbortSignal,
): Promise<Stat | undefined> {
  try {
    return await endpoint.stat(path, { signal });
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return undefined;
    throw error;
  }
}

/**
 * `--update`: equal size and a digest in common. A source of this machine is read for it; another that declares no digest
 * would have to be fetched for it, so there the modification time that its version is made of decides. Digests of
 * `trusted` stand for reading, except where one is expected beforehand; the outcome then proves the sizes alone.
 */
export async function identicalAlready(
  ends: Ends,
  call: AttemptCall,
  trusted?: Trusted,
): Promise<AttemptResult | undefined> {
  const { signal } = call;
  const there = await statOrAbsent(ends.to, ends.destination.location.path, signal);
  if (there?.type !== 'file') return undefined;
  const here = await ends.from.stat(ends.source.location.path, { signal });
  if (here.size === undefined || here.size !== there.size) return undefined;
  const known = [...call.expected, ...(here.digests ?? [])].filter((digest) => digest.partSize === undefined);
  const wanted = known[0]?.algorithm ?? 'sha256';
  if (known.length > 0 || ends.from.isLocal) {
    const how = { wanted, signal, trusted: call.expected.length === 0 ? trusted : undefined };
    const stored = await digestOf(ends.to, ends.destination.location.path, how);
    if (!stored) return undefined;
    const from: FoundDigest | undefined =
      known[0] ?? (await digestOf(ends.from, ends.source.location.path, how));
    const ours = stored.value;
    if (ours !== from?.value) return undefined;
    if (stored.reused ?? from.reused) return unread(here, [stored, from]);
    const result = nothingMoved(here, new Map([[wanted, ours]]), call.expected, [
      'identical already, by digest',
    ]);
    if (call.expected.length > 0) return result;
    const destination = { ...result.destination, by: ends.to.isLocal ? 'read-back' : 'service' };
    const isTold = here.digests?.some((one) => one.algorithm === wanted && one.value === ours) === true;
    return isTold
      ? { ...result, source: { ...destination, by: 'sender' }, destination }
      : { ...result, destination };
  }
  if (!sameTime(here, there)) return undefined;
  return nothingMoved(here, new Map(), [], ['identical already, by size and modification time']);
}

/** Services tell seconds. */
function sameTime(a: Stat, b: Stat): boolean {
  if (!a.modified || !b.modified) return false;
  return Math.floor(a.modified.getTime() / 1000) === Math.floor(b.modified.getTime() / 1000);
}

interface FoundDigest extends Digest {
  /** Who made it, where that was not now. */
  readonly reused?: string;
}

async function digestOf(
  endpoint: Endpoint,
  path: string,
  how: { readonly wanted: Algorithm; readonly signal: AbortSignal; readonly trusted: Trusted | undefined },
): Promise<FoundDigest | undefined> {
  const { wanted, signal, trusted } = how;
  const known = endpoint.isLocal ? trusted?.find(path, [wanted]) : undefined;
  if (known) return { algorithm: wanted, value: known.digests[0]?.value ?? '', reused: known.from };
  const found = await endpoint.digest?.(path, [wanted], { signal });
  return found?.find((digest) => digest.algorithm === wanted);
}

/** The result where at least one digest was not taken now: nothing but the sizes was compared. */
function unread(stat: Stat, [there, from]: readonly [FoundDigest, FoundDigest]): AttemptResult {
  const side = ({ reused, algorithm, value }: FoundDigest): Verification =>
    reused === undefined ? { grade: 'size' } : { grade: 'size', algorithm, value, by: reused };
  const whose = [...new Set([from.reused, there.reused])].filter((one) => one !== undefined).join(' and ');
  return {
    ...nothingMoved(
      stat,
      new Map([[there.algorithm, there.value]]),
      [],
      [`identical already, by digests reused from ${whose}`],
    ),
    source: side(from),
    destination: side(there),
  };
}

/** Digests of a source whose bytes do not pass through us, when somebody asked for them. */
export async function digestSourceOf(
  ends: Ends,
  call: AttemptCall,
  required: Requirement,
): Promise<ReadonlyMap<Algorithm, string>> {
  const wanted = new Set<Algorithm>(call.expected.map((digest) => digest.algorithm));
  if (call.step.generateChecksum) wanted.add('sha256');
  if (wanted.size === 0 && reaches(required.destination, 'wire')) wanted.add('sha256');
  if (wanted.size === 0 || !ends.from.digest) return new Map();
  const found = await ends.from.digest(ends.source.location.path, [...wanted], { signal: call.signal });
  const digests = new Map(found.map((digest) => [digest.algorithm, digest.value]));
  const compared = compareDigests(digests, call.expected);
  if (compared && !compared.equal) {
    throw new TransferError(
      'digest-mismatch',
      `read \`${formatLocation(ends.source.location)}\`: expected ${compared.algorithm} ${compared.theirs}, the bytes have ${compared.ours}`,
    );
  }
  return digests;
}

/**
 * The result of a pair whose bytes are where they belong: source and destination are the same bytes, `digests` of which
 * were taken by reading them. Without `stat` nobody looked.
 */
export function nothingMoved(
  stat: Stat | undefined,
  digests: ReadonlyMap<Algorithm, string>,
  expected: readonly Digest[],
  notes: readonly string[],
): AttemptResult {
  const [algorithm, value] = [...digests][0] ?? [];
  const counted: Verification = { grade: stat ? 'size' : 'none' };
  const read =
    algorithm !== undefined && value !== undefined ? { algorithm, value, by: 'read-back' } : undefined;
  const isExpected = read !== undefined && expected.length > 0;
  return {
    route: 'none',
    bytes: stat?.size ?? 0,
    resumedFrom: 0,
    digests,
    source: isExpected ? { grade: 'end-to-end', ...read } : counted,
    destination: read ? { grade: isExpected ? 'end-to-end' : 'server', ...read } : counted,
    notes,
    versions: { source: stat?.version },
  };
}
