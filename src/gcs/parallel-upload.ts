import { TransferError } from '../errors.ts';
import { startDigest } from '../integrity/digests.ts';
import type { Algorithm, Bytes, Staged, WriteCall } from '../protocol.ts';
import { giveBack } from '../slabs.ts';
import type { Api } from './api.ts';
import { type Components, formatHandle, removeComponents } from './components.ts';
import { composeObject } from './compose.ts';
import { combineCrc32c, hexOf } from './crc32c.ts';
import { putSmall } from './put-small.ts';
import { metadataOf, type ObjectResource, storedOf } from './resource.ts';

/** Milliseconds that clearing up may take: the process may be on its way out. */
const TIDY_MS = 10_000;

export interface ParallelUpload {
  readonly api: Api;
  readonly name: string;
  readonly doing: string;
  readonly size: number;
  readonly call: WriteCall;
  readonly components: Components;
  /** Components that are there already, from the first on. */
  readonly had: readonly ObjectResource[];
  /** Components on their way at a time. */
  readonly parallel: number;
}

/**
 * Uploads the bytes as components, several at a time, each with its CRC32C, which the service compares. Nothing is under
 * the name before commit, which has the service put them together.
 */
export async function writeComponents(upload: ParallelUpload, bytes: Bytes): Promise<Staged> {
  const { api, call, components, size, doing, name } = upload;
  const parts: (ObjectResource | undefined)[] = [...upload.had];
  const tidy = () => removeComponents(api, components, { signal: AbortSignal.timeout(TIDY_MS) });
  const keep = call.onPartial !== undefined;
  try {
    await sendAll(upload, bytes, parts);
  } catch (error) {
    if (!keep) await tidy();
    throw error;
  }
  return {
    async commit(signal, digests: ReadonlyMap<Algorithm, string> = new Map()) {
      if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
      const whole = parts.filter((part) => part !== undefined);
      const crc32c = crcOf(whole);
      const wanted = digests.get('crc32c');
      try {
        if (wanted !== undefined && wanted !== hexOf(crc32c)) {
          throw new TransferError('digest-mismatch', `${doing}: the components are not what was read`);
        }
        const metadata = metadataOf(call);
        const { retry } = call;
        const about = { api, components, parts: whole, name, metadata, size, crc32c, doing, retry, signal };
        const made = await composeObject(about);
        await tidy();
        return storedOf(made);
      } catch (error) {
        if (!keep || !(error instanceof TransferError && error.transient)) await tidy();
        throw error;
      }
    },
    abort: async (options) => (options?.keep ? undefined : tidy()),
  };
}

function crcOf(parts: readonly ObjectResource[]): number {
  return parts.reduce((crc32c, part) => combineCrc32c(crc32c, ownCrc(part), part.size), 0);
}

function ownCrc({ digests }: ObjectResource): number {
  return Number.parseInt(digests.find(({ algorithm }) => algorithm === 'crc32c')?.value ?? '0', 16);
}

async function sendAll(
  upload: ParallelUpload,
  bytes: Bytes,
  parts: (ObjectResource | undefined)[],
): Promise<void> {
  const { call, components, size, doing, parallel } = upload;
  const ending = new AbortController();
  const onWay = new Set<Promise<void>>();
  const spare: Uint8Array[] = [];
  let failure: unknown;
  /** Those without a gap, and what they hold: only these can be gone on from. */
  let reached = parts.length;
  let crc32c = crcOf(upload.had);

  const tell = () => {
    const before = reached;
    for (let part = parts[reached]; part?.size === components.bytes; part = parts[reached]) {
      crc32c = combineCrc32c(crc32c, ownCrc(part), part.size);
      reached += 1;
    }
    if (reached > before) {
      call.onPartial?.(formatHandle({ id: components.id, bytes: components.bytes, count: reached, crc32c }));
    }
  };

  const launch = async (index: number, content: Uint8Array, memory: Uint8Array) => {
    const one = sendOne(upload, index, content, ending.signal)
      .then((part) => {
        parts[index] = part;
        tell();
      })
      .catch((error: unknown) => {
        failure ??= error;
        ending.abort(error);
      })
      .finally(() => {
        spare.push(memory);
        onWay.delete(one);
      });
    onWay.add(one);
    if (onWay.size >= parallel) await Promise.race(onWay);
    if (failure !== undefined) throw failure;
  };

  let index = parts.length;
  let count = index * components.bytes;
  let memory: Uint8Array = new Uint8Array(0);
  let filled = 0;
  if (index > 0) {
    call.onPartial?.(formatHandle({ id: components.id, bytes: components.bytes, count: index, crc32c }));
  }
  try {
    for await (const chunk of bytes) {
      count += chunk.length;
      if (count > size) throw wrongSize(doing, size, 'more');
      for (let at = 0; at < chunk.length; ) {
        if (filled === 0) memory = spare.pop() ?? new Uint8Array(Math.min(components.bytes, size));
        const part = chunk.subarray(at, at + components.bytes - filled);
        memory.set(part, filled);
        at += part.length;
        filled += part.length;
        if (filled < components.bytes) continue;
        filled = 0;
        await launch(index, memory.subarray(0, components.bytes), memory);
        index += 1;
      }
      giveBack(chunk);
    }
    if (count < size) throw wrongSize(doing, size, String(count));
    if (filled > 0) await launch(index, memory.subarray(0, filled), memory);
    await Promise.all(onWay);
    if (failure !== undefined) throw failure;
  } catch (error) {
    ending.abort(error);
    // What is on its way must not appear behind our back.
    await Promise.allSettled(onWay);
    throw failure ?? error;
  }
}

/** Stores one component; the service refuses one whose CRC32C is another. */
async function sendOne(
  { api, call, components, doing }: ParallelUpload,
  index: number,
  content: Uint8Array,
  ending: AbortSignal,
): Promise<ObjectResource> {
  const running = await startDigest('crc32c');
  running.update(content);
  const crc32c = running.end();
  const name = components.nameOf(index);
  const metadata = { name, contentType: 'application/octet-stream' };
  const about = { name, metadata, content, digests: new Map<Algorithm, string>([['crc32c', crc32c]]) };
  const part = await call.retry((signal) => putSmall(api, about, AbortSignal.any([signal, ending])));
  if (part.size === content.length && hexOf(ownCrc(part)) === crc32c) return part;
  throw new TransferError('digest-mismatch', `${doing}: the service stored another component than it got`);
}

function wrongSize(doing: string, expected: number, got: string): TransferError {
  return new TransferError('size-mismatch', `${doing}: expected ${expected} bytes, got ${got}`);
}
