import { TransferError } from './errors.ts';
import type { BlockDigests } from './integrity/block-digests.ts';
import { isShortfall, reaches, requireGrade, type Shortfall } from './integrity/policy.ts';
import {
  type DestinationFacts,
  type Grading,
  gradeDestination,
  gradeSource,
  requireDigests,
} from './integrity/verification.ts';
import type { Opened } from './opening.ts';
import type { Verification } from './outcome.ts';
import type { Algorithm, Stored } from './protocol.ts';
import { askService, readStored, sizeOf } from './read-back.ts';
import type { StreamCall, StreamResult } from './stream.ts';

/** The whole content was found wrong: it is of no use to the next try. */
export function isProvenWrong(error: unknown): boolean {
  return (
    error instanceof TransferError &&
    (error.code === 'digest-mismatch' || error.code === 'size-mismatch' || error.code === 'changed')
  );
}

/** Everything that can be compared before the bytes are visible. */
export async function check(
  call: StreamCall,
  opened: Opened,
  received: number,
  digests: ReadonlyMap<Algorithm, string>,
): Promise<Grading> {
  const { source, last } = opened;
  const doing = `read \`${call.from.name}\``;
  if (source.size !== undefined && received !== source.size) {
    throw new TransferError('size-mismatch', `${doing}: expected ${source.size} bytes, got ${received}`);
  }
  if (call.size !== undefined && received !== call.size) {
    throw new TransferError('size-mismatch', `${doing}: expected ${call.size} bytes, got ${received}`);
  }
  if (last.confirm) await last.confirm();
  const trailer = last.trailer ? await last.trailer() : [];
  const grading = requireDigests({ doing, ours: digests, expected: call.expected, source, trailer });
  if (call.require) {
    const { require, from, expected } = call;
    const reached = gradeSource(grading, isSizeKnown(call, opened));
    requireGrade(reached, { side: 'source', name: from.name, wanted: require.source, expected });
  }
  return grading;
}

function isSizeKnown(call: StreamCall, { source }: Opened): boolean {
  return source.size !== undefined || call.size !== undefined;
}

/** What is known of a file once it is visible. */
export interface Committed {
  readonly bytes: number;
  readonly digests: ReadonlyMap<Algorithm, string>;
  readonly blocks?: BlockDigests;
  readonly grading: Grading;
  readonly stored: Stored;
  /** The staged bytes were read back and found equal. */
  readonly isConfirmed: boolean;
}

/**
 * Compares with what the service says it stores, and reads it back where that is asked for or needed. Wrong content that
 * could be seen is removed again, and so is what cannot be proven as it must be.
 */
export async function conclude(call: StreamCall, opened: Opened, known: Committed): Promise<StreamResult> {
  const { bytes, digests, blocks, grading } = known;
  try {
    const source = gradeSource(grading, isSizeKnown(call, opened));
    return {
      route: 'stream',
      bytes,
      resumedFrom: opened.start,
      digests,
      ...(blocks ? { blocks } : {}),
      source,
      destination: await proveDestination(call, known),
      notes: opened.source.note === undefined ? [] : [opened.source.note],
      versions: { source: opened.source.version, destination: known.stored.version },
    };
  } catch (error) {
    if (!call.to.endpoint.isLocal && (isProvenWrong(error) || isShortfall(error)))
      await call.to.endpoint.remove?.(call.to.path, { signal: call.signal });
    throw error;
  }
}

async function proveDestination(call: StreamCall, known: Committed): Promise<Verification> {
  const { verifyWritten, expected, require } = call;
  const { digests, stored } = known;
  const isLocal = call.to.endpoint.isLocal === true;
  const grade = (more: Partial<Pick<DestinationFacts, 'confirmed' | 'stored'>>) =>
    gradeDestination({
      name: call.to.name,
      isLocal,
      // The fault stands behind what was counted; only a digest shall notice it.
      bytes: known.bytes + Buffer.byteLength(call.fault ?? ''),
      ours: digests,
      expected,
      stored,
      confirmed: known.isConfirmed,
      proven: known.grading.proven,
      ...more,
    });
  const wanted = require?.destination ?? 'none';
  const short = { side: 'destination', name: call.to.name, wanted, expected } as const;
  if (verifyWritten && !isLocal && digests.size > 0) {
    return met(grade({ confirmed: await readStored(call, digests) }), short);
  }
  const reached = grade({});
  if (reaches(reached.grade, wanted)) return reached;
  if (isLocal) return met(reached, short);
  if (!reaches(wanted, 'wire')) {
    const size = await sizeOf(call);
    return met(grade(size === undefined ? {} : { stored: { ...stored, size } }), short);
  }
  const told = await askService(call, digests);
  const confirmed = grade({ stored: { ...stored, digests: [...stored.digests, ...told] } });
  if (reaches(confirmed.grade, wanted)) return confirmed;
  try {
    return met(grade({ confirmed: await readStored(call, digests) }), short);
  } catch (error) {
    if (isShortfall(error) || !isForGood(error)) throw error;
    return met(confirmed, { ...short, unread: error });
  }
}

function met(reached: Verification, short: Shortfall): Verification {
  requireGrade(reached, short);
  return reached;
}

/** Reading back was refused, and will be: what is wrong is not the bytes. */
function isForGood(error: unknown): error is TransferError {
  return error instanceof TransferError && !error.transient && error.code !== 'canceled';
}
