import { TransferError } from '../errors.ts';
import type { Grade, Verification } from '../outcome.ts';
import type { Digest, Source } from '../protocol.ts';

/** Grades from the weakest to the strongest. */
export const GRADES: readonly Grade[] = ['none', 'size', 'wire', 'server', 'end-to-end'];

/** The least that each side of a transfer must be verified by. */
export interface Requirement {
  readonly source: Grade;
  readonly destination: Grade;
}

export type SideName = keyof Requirement;

/** What asks for nothing. */
export const NO_REQUIREMENT: Requirement = { source: 'none', destination: 'none' };

/** True when `grade` says as much as `wanted`, or more. */
export function reaches(grade: Grade, wanted: Grade): boolean {
  return GRADES.indexOf(grade) >= GRADES.indexOf(wanted);
}

/**
 * `previous` with what `text` asks for, too: `GRADE` for both sides, `source=GRADE` or `destination=GRADE` for one.
 * Undefined when it asks for nothing that there is.
 */
export function parseRequirement(text: string, previous: Requirement): Requirement | undefined {
  const [, side, word] = /^(?:(source|destination)=)?([a-z-]+)$/.exec(text.trim().toLowerCase()) ?? [];
  const grade = GRADES.find((one) => one === word);
  if (grade === undefined) return undefined;
  return side === undefined ? { source: grade, destination: grade } : { ...previous, [side]: grade };
}

/** True when a digest of the content is needed for it. */
export function asksForDigest(requirement: Requirement): boolean {
  return reaches(requirement.source, 'wire') || reaches(requirement.destination, 'wire');
}

const shortfalls = new WeakSet<object>();

/** True for what {@link requireGrade} throws. */
export function isShortfall(error: unknown): boolean {
  return typeof error === 'object' && error !== null && shortfalls.has(error);
}

/** Why a side falls short, for {@link requireGrade}. */
export interface Shortfall {
  readonly side: SideName;
  /** The file's name; no secrets. */
  readonly name: string;
  readonly wanted: Grade;
  /** Digests that the content must have. */
  readonly expected: readonly Digest[];
  /** Why the stored bytes could not be read back. */
  readonly unread?: TransferError | undefined;
}

/** Throws `unsupported`, which no further attempt mends, when a side is not verified as well as it must be. */
export function requireGrade(reached: Verification, short: Shortfall): void {
  if (reaches(reached.grade, short.wanted)) return;
  throw shortfall(reached.grade, short);
}

/**
 * Throws what {@link requireGrade} would in the end, as soon as it is known: when nothing that the sender can say will
 * prove the source, or no digest is expected where only one proves the destination. Nothing was moved then.
 */
export function refuseUnprovable(
  requirement: Requirement,
  known: {
    readonly source: Source;
    readonly size: number | undefined;
    readonly expected: readonly Digest[];
    readonly from: string;
    readonly to: string;
  },
): void {
  const { expected } = known;
  const best = bestOf(known);
  if (!reaches(best, requirement.source)) {
    throw shortfall(best, { side: 'source', name: known.from, wanted: requirement.source, expected });
  }
  if (requirement.destination === 'end-to-end' && expected.length === 0) {
    throw shortfall('server', { side: 'destination', name: known.to, wanted: 'end-to-end', expected });
  }
}

/** The best that the source's side can come to. */
function bestOf(known: {
  readonly source: Source;
  readonly size: number | undefined;
  readonly expected: readonly Digest[];
}): Grade {
  const { source, size, expected } = known;
  const isWhole = ({ partSize }: Digest) => partSize === undefined;
  if (expected.length > 0) return 'end-to-end';
  if (source.proven?.isAskedFor) return 'end-to-end';
  if (source.proven || source.digests?.some(isWhole)) return 'server';
  if (source.wire?.some(isWhole) || source.trailer) return 'wire';
  return source.size === undefined && size === undefined ? 'none' : 'size';
}

function shortfall(reached: Grade, short: Shortfall): TransferError {
  const { side, name, wanted, unread } = short;
  const why = unread === undefined ? '' : ` (${unread.message})`;
  const error = new TransferError(
    'unsupported',
    `verify \`${name}\`: the ${side} reaches grade \`${reached}\`, \`${wanted}\` is required${why}`,
    { hint: hintOf(short), ...(unread === undefined ? {} : { cause: unread }) },
  );
  shortfalls.add(error);
  return error;
}

function hintOf({ side, wanted, expected }: Shortfall): string {
  const expect = 'a `checksum` in the list, or a line for it in --checksums FILE';
  if (side === 'source') {
    if (wanted === 'size') return `a \`size\` in the list, or an expected digest: ${expect}`;
    return `no digest is expected of this file, and its source declares none: ${expect}`;
  }
  if (wanted === 'end-to-end' && expected.length === 0)
    return `no digest is expected of this file, and only one made before the transfer is end-to-end: ${expect}`;
  if (wanted === 'size') return 'this service does not tell what it stores; --verify-written reads it back';
  return 'this service tells no digest, and what it stores cannot be read back (--verify-written, --checksum sha256)';
}
