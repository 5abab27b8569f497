import { createHash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import { startDigest } from '../integrity/digests.ts';
import type { PartialWrite, Staged, Stored } from '../protocol.ts';
import { comparesWholes } from './address.ts';
import { withBucket } from './bucket.ts';
import { formatHandle, type Handle } from './handle.ts';
import {
  abortUpload,
  completeUpload,
  compositeTag,
  createUpload,
  type HeldPart,
  type Part,
  passPart,
  putPart,
  type Upload,
} from './multipart.ts';
import { basePart, MAX_PARTS, partSize, windowOf } from './parts.ts';
import { storedAs } from './stored.ts';
import { requireSize, type Writing, wrongSize } from './write.ts';

/** Milliseconds that clearing up may take when the run itself was ended. */
const CLEAR_UP = 3000;

/** An upload and the parts that it has so far, without a gap. */
export interface Begun {
  readonly upload: Upload;
  readonly plan: Omit<Handle, 'parts' | 'tags'>;
  readonly parts: Part[];
}

/** An earlier upload, as it was found. */
export interface Resumed {
  readonly plan: Begun['plan'];
  readonly parts: readonly Part[];
}

/** A new upload with no part yet. */
export async function beginUpload({ client, object, call, limits }: Writing): Promise<Begun> {
  const part = basePart(call.size, limits);
  // Of a part that is sent as it comes, nobody knows the sum before.
  const isSummed = part <= limits.held && comparesWholes(await client.access());
  const upload = await withBucket(client, object, call, (signal) =>
    createUpload(client, object, signal, isSummed),
  );
  const known = {
    ...(call.size === undefined ? {} : { size: call.size }),
    ...(isSummed ? { isSummed } : {}),
  };
  return { upload, plan: { uploadId: upload.id, part, ...known }, parts: [] };
}

/** An earlier upload, from behind the parts that `resume` covers. Rejects with `changed` when they do not end there. */
export function continueUpload({ client, object }: Writing, resume: PartialWrite, known: Resumed): Begun {
  const end = resume.ranges[0]?.end ?? 0;
  const parts: Part[] = [];
  let at = 0;
  for (const part of known.parts) {
    if (at === end) break;
    parts.push(part);
    at += part.size;
  }
  if (at !== end) {
    throw new TransferError(
      'changed',
      `write \`${object.name}\`: no part of the earlier upload ends at byte ${end}`,
    );
  }
  const { plan } = known;
  const upload = { client, object, id: plan.uploadId, isSummed: plan.isSummed ?? false };
  return { upload, plan, parts };
}

/** Sends everything but what is there. On failure the upload is dropped, or kept where somebody keeps its handle. */
export async function stageUpload(writing: Writing, begun: Begun, first?: Uint8Array): Promise<Staged> {
  const { call } = writing;
  const keep = call.onPartial !== undefined;
  try {
    call.onPartial?.(formatHandle(begun.plan, begun.parts));
    await sendParts(writing, begun, first);
    requireSize(writing, sizeOf(begun.parts));
  } catch (error) {
    if (!keep) await drop(begun.upload);
    throw error;
  }
  return {
    async commit(_signal, digests) {
      try {
        return await complete(writing, begun, digests?.get('crc64nvme'));
      } catch (error) {
        if (!keep || !(error instanceof TransferError && error.transient)) await drop(begun.upload);
        throw error;
      }
    },
    async abort(options) {
      if (!options?.keep) await drop(begun.upload);
    },
  };
}

/** Best effort, whatever became of the run: the journal still knows an upload that stays. */
async function drop(upload: Upload): Promise<void> {
  await abortUpload(upload, AbortSignal.timeout(CLEAR_UP)).catch(() => undefined);
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}

/** A bounded number of parts at a time, each held until it is acknowledged. */
async function sendParts(writing: Writing, begun: Begun, first: Uint8Array | undefined): Promise<void> {
  const { call, supply, limits } = writing;
  const { plan } = begun;
  const flight = new Set<Promise<void>>();
  const idle: Uint8Array[] = [];
  const acknowledge = acknowledger(writing, begun);
  let failure: { readonly error: unknown } | undefined;
  let sent = sizeOf(begun.parts);
  let ready = first;
  try {
    for (let number = begun.parts.length + 1; ; number += 1) {
      if (failure) throw failure.error;
      if (number > MAX_PARTS) throw tooMany(writing);
      const size = partSize(number, plan.part, plan.size);
      const left = plan.size === undefined ? size : Math.min(size, plan.size - sent);
      if (size > limits.held && plan.size !== undefined) {
        if (left === 0) break;
        await passOne(writing, begun, { number, size: left }, acknowledge);
        sent += left;
        continue;
      }
      const buffer = ready ?? bufferOf(idle, size);
      // Chunk by chunk, while the processor's cache has it: a whole part at once holds up those that are being sent.
      const digests = await partDigests(begun.upload);
      const filled = ready
        ? ready.length
        : await supply.take(buffer.subarray(0, left), (piece) => digests.update(piece));
      if (ready) digests.update(ready);
      ready = undefined;
      if (filled === 0) break;
      sent += filled;
      const part: HeldPart = { number, body: buffer.subarray(0, filled), ...digests.end() };
      const job = call
        .retry((signal) => putPart(begun.upload, part, signal))
        .then(
          (tag) => {
            idle.push(buffer);
            acknowledge({ number, size: filled, tag });
          },
          (error) => {
            failure ??= { error };
          },
        )
        .finally(() => flight.delete(job));
      flight.add(job);
      while (flight.size >= windowOf(size, limits)) await Promise.race(flight);
    }
    if (!(await supply.isAtEnd())) throw wrongSize(writing, `more than ${sent}`);
  } finally {
    await Promise.all(flight);
  }
  if (failure) throw (failure as { readonly error: unknown }).error;
}

/** What a part is sent with, taken while it comes in. */
async function partDigests({ isSummed }: Upload) {
  const md5 = createHash('md5');
  const sha256 = createHash('sha256');
  const crc64nvme = isSummed ? await startDigest('crc64nvme') : undefined;
  return {
    update(piece: Uint8Array): void {
      md5.update(piece);
      sha256.update(piece);
      crc64nvme?.update(piece);
    },
    end: () => ({
      md5: md5.digest(),
      sha256: sha256.digest('hex'),
      ...(crc64nvme ? { crc64nvme: crc64nvme.end() } : {}),
    }),
  };
}

function bufferOf(idle: Uint8Array[], size: number): Uint8Array {
  const at = idle.findIndex((buffer) => buffer.length >= size);
  return at < 0 ? Buffer.allocUnsafeSlow(size) : (idle.splice(at, 1)[0] ?? Buffer.allocUnsafeSlow(size));
}

/** Takes parts in any order; those without a gap from the first are told on. */
function acknowledger({ call }: Writing, { plan, parts }: Begun): (part: Part) => void {
  const early = new Map<number, Part>();
  return (part) => {
    early.set(part.number, part);
    const before = parts.length;
    for (let next = early.get(parts.length + 1); next; next = early.get(parts.length + 1)) {
      early.delete(next.number);
      parts.push(next);
    }
    if (parts.length > before) call.onPartial?.(formatHandle(plan, parts));
  };
}

/** A part too large for memory: sent once, and compared by its entity tag. */
async function passOne(
  { supply, object, call }: Writing,
  { upload }: Begun,
  part: { readonly number: number; readonly size: number },
  acknowledge: (part: Part) => void,
): Promise<void> {
  const hash = createHash('md5');
  async function* bytes() {
    for await (const chunk of supply.pass(part.size)) {
      hash.update(chunk);
      yield chunk;
    }
  }
  const tag = await passPart(
    upload,
    { number: part.number, body: { bytes: bytes(), size: part.size } },
    call.signal,
  );
  const md5 = hash.digest('hex');
  if (/^[0-9a-f]{32}$/.test(tag) && tag !== md5) {
    const text = `part ${part.number}: sent md5 ${md5}, the service stored ${tag}`;
    throw new TransferError('digest-mismatch', `write \`${object.name}\`: ${text}`);
  }
  acknowledge({ ...part, tag });
}

function tooMany({ object }: Writing): TransferError {
  return new TransferError('no-space', `write \`${object.name}\`: more than ${MAX_PARTS} parts`);
}

/** Makes the object visible. An upload that is gone may have become the object by a request whose answer was lost. */
async function complete(
  { client, object, call }: Writing,
  { upload, parts }: Begun,
  crc64nvme: string | undefined,
): Promise<Stored> {
  const composite = compositeTag(parts);
  const size = sizeOf(parts);
  return call.retry(async (signal) => {
    const tag = await completeUpload(upload, parts, { onlyNew: call.onlyNew ?? false, crc64nvme, signal });
    const stored = await storedAs(client, object, signal);
    const isOurs =
      composite !== undefined && stored.version === `etag "${composite}"` && stored.size === size;
    if (tag === undefined && !isOurs) {
      throw new TransferError('changed', `write \`${object.name}\`: the upload is not there any more`);
    }
    const isProven = isOurs || (composite !== undefined && tag === composite && stored.size === undefined);
    return isProven ? { ...stored, isProven: true as const } : stored;
  });
}
