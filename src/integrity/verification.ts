import { TransferError } from '../errors.ts';
import type { Verification } from '../outcome.ts';
import type { Algorithm, Digest, ProvenBy, Source, Stored } from '../protocol.ts';
import { ALGORITHMS, compareDigests } from './digests.ts';

/** What the comparisons with the source's side proved. */
export interface Grading {
  readonly expected?: Digest;
  readonly wire?: Digest;
  readonly server?: Digest;
  /** What the source itself compared all bytes with. */
  readonly proven?: ProvenBy;
  readonly by: string;
}

/** Nobody can make a second content with the same one of these. */
const SETTLING: readonly Algorithm[] = ['sha512', 'sha256', 'blake3'];

/** The digests to take on the way: those asked for, and one of the strongest that somebody can compare with. */
export function wantedAlgorithms(wants: {
  readonly asked: readonly Algorithm[];
  readonly expected: readonly Digest[];
  readonly source: Source;
  readonly destination: readonly Algorithm[];
  readonly journaled: boolean;
  /** What the source's service stores is the only other thing to compare with. */
  readonly isToDisk?: boolean;
}): readonly Algorithm[] {
  const { asked, expected, source } = wants;
  if (
    expected.length + wants.destination.length === 0 &&
    !wants.journaled &&
    !source.digests &&
    !source.wire
  ) {
    return asked;
  }
  const [only] = expected;
  if (only && expected.length === 1 && asked.length + wants.destination.length === 0 && !wants.journaled) {
    if (!source.digests && !source.wire) return [only.algorithm];
  }
  const wanted = new Set<Algorithm>([...wants.asked, ...wants.destination]);
  for (const digest of wants.expected) wanted.add(digest.algorithm);
  if (wants.journaled) wanted.add('sha256');
  // MD5, the usual digest of an S3 object, takes three times as long as the sha256 that proves the same bytes.
  const isSettled =
    wants.isToDisk && expected.some((d) => SETTLING.includes(d.algorithm) && d.partSize === undefined);
  for (const told of [isSettled ? undefined : source.digests, source.wire]) {
    const strongest = ALGORITHMS.find((a) =>
      told?.some((d) => d.algorithm === a && d.partSize === undefined),
    );
    if (strongest) wanted.add(strongest);
  }
  return wanted.size < 2 ? [...wanted] : ALGORITHMS.filter((algorithm) => wanted.has(algorithm));
}

/** Compares with every digest that is known of the source; rejects with `digest-mismatch` on the first difference. */
export function requireDigests(known: {
  readonly doing: string;
  readonly ours: ReadonlyMap<Algorithm, string>;
  readonly expected: readonly Digest[];
  readonly source: Source;
  readonly trailer: readonly Digest[];
}): Grading {
  const { doing, ours, source } = known;
  const expected = requireEqual(doing, 'expected', ours, known.expected);
  for (const digest of known.expected) {
    if (!ours.has(digest.algorithm)) {
      throw new TransferError('unsupported', `${doing}: cannot compute \`${digest.algorithm}\``);
    }
  }
  const server = requireEqual(doing, 'the server stores', ours, source.digests ?? []);
  const told = [...(source.wire ?? []), ...known.trailer];
  const wire = requireEqual(doing, 'the sender declared', ours, told);
  return {
    by: 'sender',
    ...(expected ? { expected } : {}),
    ...(server ? { server } : {}),
    ...(wire ? { wire } : {}),
    ...(source.proven ? { proven: source.proven } : {}),
  };
}

function requireEqual(
  doing: string,
  who: string,
  ours: ReadonlyMap<Algorithm, string>,
  theirs: readonly Digest[],
): Digest | undefined {
  const found = compareDigests(ours, theirs);
  if (!found) return undefined;
  if (found.equal) return { algorithm: found.algorithm, value: found.ours };
  const text = `${doing}: ${who} ${found.algorithm} ${found.theirs}, the bytes have ${found.ours}`;
  throw new TransferError('digest-mismatch', text);
}

/** The source side's grade, as the glossary defines it. */
export function gradeSource(grading: Grading, sizeKnown: boolean): Verification {
  if (grading.expected) return { grade: 'end-to-end', ...grading.expected, by: 'catalog' };
  if (grading.proven) {
    const { algorithm, value, by, isAskedFor } = grading.proven;
    return { grade: isAskedFor ? 'end-to-end' : 'server', algorithm, value, by };
  }
  if (grading.server) return { grade: 'server', ...grading.server, by: grading.by };
  if (grading.wire) return { grade: 'wire', ...grading.wire, by: grading.by };
  return { grade: sizeKnown ? 'size' : 'none' };
}

/** What the destination side is graded by. */
export interface DestinationFacts {
  readonly name: string;
  readonly isLocal: boolean;
  /** Bytes that were sent. */
  readonly bytes: number;
  readonly ours: ReadonlyMap<Algorithm, string>;
  readonly expected: readonly Digest[];
  readonly stored: Stored;
  /** The stored bytes were read back and found equal. */
  readonly confirmed: boolean;
  /** Every byte was compared before it was handed on. */
  readonly proven?: ProvenBy | undefined;
}

/** The destination side's grade. */
export function gradeDestination(known: DestinationFacts): Verification {
  const { ours, stored, name, proven } = known;
  if (stored.size !== undefined && stored.size !== known.bytes) {
    throw new TransferError(
      'size-mismatch',
      `write \`${name}\`: sent ${known.bytes} bytes, ${stored.size} are stored`,
    );
  }
  const service = requireEqual(`write \`${name}\``, 'the service stores', ours, stored.digests);
  const first = [...ours][0];
  const own = first && { algorithm: first[0], value: first[1] };
  const isConfirmed = service !== undefined || stored.isProven || known.confirmed;
  if (isConfirmed && known.expected.length > 0 && own) {
    return {
      grade: 'end-to-end',
      ...(service ?? own),
      by: service || stored.isProven ? 'service' : 'read-back',
    };
  }
  if (service) return { grade: 'server', ...service, by: 'service' };
  if (stored.isProven) return { grade: 'server', ...own, by: 'service' };
  if (known.confirmed && own) return { grade: 'server', ...own, by: 'read-back' };
  if (known.isLocal && own) return { grade: 'server', ...own, by: 'kernel' };
  if (known.isLocal && proven) {
    return { grade: 'server', algorithm: proven.algorithm, value: proven.value, by: 'kernel' };
  }
  return { grade: stored.size === undefined ? 'none' : 'size' };
}
