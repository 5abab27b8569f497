import { TransferError } from '../errors.ts';
import type { Bytes, Staged, WriteCall } from '../protocol.ts';
import type { S3Client } from './client.ts';
import { PART_LIMITS, type PartLimits } from './parts.ts';
import type { S3Object } from './place.ts';
import { stageSmall } from './small.ts';
import { headObject } from './stat.ts';
import { notNew } from './stored.ts';
import { createSupply, type Kept, type Supply } from './supply.ts';
import { beginUpload, continueUpload, type Resumed, stageUpload } from './upload.ts';

/** Everything that one write works with. */
export interface Writing {
  readonly client: S3Client;
  readonly object: S3Object;
  readonly call: WriteCall;
  readonly limits: PartLimits;
  readonly supply: Supply;
}

/**
 * Takes in every byte. What fits into one part waits in memory for commit, which sends it by one request; the rest goes
 * up in parts, several at a time, which commit makes an object of. Nothing is visible before that.
 */
export async function writeObject(
  client: S3Client,
  object: S3Object,
  source: { readonly bytes: Bytes; readonly call: WriteCall; readonly resumed?: Resumed | undefined },
  limits: PartLimits = PART_LIMITS,
): Promise<Staged> {
  const { bytes, call, resumed } = source;
  const supply = createSupply(bytes);
  const writing: Writing = { client, object, call, limits, supply };
  try {
    if (call.onlyNew && (await headObject(client, object, call.signal))) {
      throw notNew(object);
    }
    if (call.resume && resumed)
      return await stageUpload(writing, continueUpload(writing, call.resume, resumed));
    if (call.size !== undefined && call.size > limits.part) {
      return await stageUpload(writing, await beginUpload(writing));
    }
    // Most small files come in one chunk, which is kept as it is.
    const kept = (call.size ? await supply.takeChunk(call.size) : undefined) ?? (await copyFirst(writing));
    const first = kept.bytes;
    if (call.signal.aborted) throw canceled(call.signal, object);
    if (await supply.isAtEnd()) {
      requireSize(writing, first.length);
      return stageSmall(writing, kept);
    }
    if (call.size !== undefined) throw wrongSize(writing, `more than ${first.length}`);
    return await stageUpload(writing, await beginUpload(writing), first);
  } finally {
    supply.close();
  }
}

/** As much as one request may hold, in memory of our own. */
async function copyFirst({ call, limits, supply }: Writing): Promise<Kept> {
  const first = Buffer.allocUnsafeSlow(call.size ?? limits.part);
  const filled = await supply.take(first);
  return { bytes: first.subarray(0, filled), release: () => undefined };
}

function canceled(signal: AbortSignal, object: S3Object): TransferError {
  return signal.reason instanceof TransferError
    ? signal.reason
    : new TransferError('canceled', `write \`${object.name}\`: canceled`);
}

/** Rejects with `size-mismatch` unless all that was promised has come. */
export function requireSize(writing: Writing, count: number): void {
  const { size } = writing.call;
  if (size !== undefined && count !== size) throw wrongSize(writing, String(count));
}

export function wrongSize({ object, call }: Writing, got: string): TransferError {
  return new TransferError(
    'size-mismatch',
    `write \`${object.name}\`: expected ${call.size} bytes, got ${got}`,
  );
}
