import type { PartialCall, PartialWrite } from '../protocol.ts';
import type { S3Client } from './client.ts';
import { digestTags, type Handle, parseHandle } from './handle.ts';
import { abortUpload, listParts, type Part } from './multipart.ts';
import { partSize } from './parts.ts';
import type { S3Object } from './place.ts';

/** An upload that was found again. */
export interface Found {
  readonly plan: Handle;
  readonly parts: readonly Part[];
  readonly partial: PartialWrite;
}

/**
 * What the service still has of the upload that the handle names: its acknowledged parts, each with the entity tag that
 * it was acknowledged with. Undefined without a handle, and when nothing of it is there or it is not what it was.
 */
export async function findUpload(
  client: S3Client,
  object: S3Object,
  call: PartialCall,
): Promise<Found | undefined> {
  const plan = call.handle === undefined ? undefined : parseHandle(call.handle);
  if (!plan || call.handle === undefined) return undefined;
  const upload = { client, object, id: plan.uploadId };
  const listed = await listParts(upload, call.signal);
  if (!listed) return undefined;
  const acknowledged = listed.slice(0, plan.parts);
  const isWhole =
    acknowledged.length === plan.parts &&
    acknowledged.every((part, at) => part.number === at + 1) &&
    digestTags(acknowledged) === plan.tags;
  const release = async (keep: boolean) => {
    if (!keep) await abortUpload(upload, call.signal);
  };
  if (!isWhole) {
    await release(false);
    return undefined;
  }
  const parts = withoutLast(acknowledged, plan);
  const end = parts.reduce((sum, part) => sum + part.size, 0);
  const partial: PartialWrite = {
    ranges: end === 0 ? [] : [{ start: 0, end }],
    handle: call.handle,
    isProven: true,
    release,
  };
  return { plan, parts, partial };
}

/**
 * With everything there already, the last part is sent again: reading on is what shows that the source is still the same.
 * So is a short one, which a source that ended early left: behind it the service takes no more.
 */
function withoutLast(parts: readonly Part[], { part, size }: Handle): readonly Part[] {
  const sum = parts.reduce((total, one) => total + one.size, 0);
  const last = parts.at(-1);
  const isShort = last !== undefined && last.size < partSize(last.number, part, size);
  return sum === size || isShort ? parts.slice(0, -1) : parts;
}
