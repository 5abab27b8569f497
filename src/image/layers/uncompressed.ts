import { createHash } from 'node:crypto';
import { TransferError } from '../../errors.ts';
import type { Bytes } from '../../protocol.ts';
import type { Layer } from '../image.ts';
import { gunzipped } from './gzip.ts';
import { unzstd } from './zstd.ts';

/** How far a layer may inflate. Some do by a thousand, and rightly so, where files are of zeros. */
export interface InflationLimits {
  /** Bytes of a layer uncompressed; 256 GiB without. */
  readonly most?: number;
  /** Times its stored size, above the first GiB; 200 without. gzip's own limit is some 1,030, zstd has none. */
  readonly ratio?: number;
}

export interface UncompressedOptions extends InflationLimits {
  /** The diff id was compared when the layer was read before; now `layer.read` alone tells that the bytes are the same. */
  readonly isKnown?: boolean;
}

const GIB = 2 ** 30;

const MOST = 256 * GIB;
const RATIO = 200;
/** What anything may be, however small it is stored. */
const UNSUSPECTED = GIB;

/** Bytes that what is stored in `stored` of them may become. */
export function mostInflated(stored: number, { most = MOST, ratio = RATIO }: InflationLimits = {}): number {
  return Math.min(most, Math.max(UNSUSPECTED, ratio * stored));
}

/**
 * The tar archive that `layer` holds, whatever its media type says of the compression: gzip (RFC 1952), zstd (RFC 8878)
 * or neither, told by the first bytes. Rejects after the last byte with `digest-mismatch` when it is not what `diffId`
 * says, with `invalid-request` when the compressed data is cut or broken or inflates beyond `limits`. What
 * `layer.read` finds wrong with the stored bytes is told instead of what it led to.
 */
export async function uncompressed(
  layer: Layer,
  signal: AbortSignal,
  limits: UncompressedOptions = {},
): Promise<Bytes> {
  const stored = await layer.read(signal);
  return verified(layer, stored, limits);
}

async function* verified(
  layer: Layer,
  stored: Bytes,
  limits: UncompressedOptions,
): AsyncGenerator<Uint8Array> {
  const { isKnown = false } = limits;
  const bound = mostInflated(layer.descriptor.size, limits);
  const [algorithm = '', expected] = layer.diffId.split(':');
  if (algorithm !== 'sha256' && algorithm !== 'sha512') {
    throw new TransferError(
      'unsupported',
      `unpacking a layer: expected a digest by sha256, got \`${layer.diffId}\``,
    );
  }
  const hash = createHash(algorithm);
  let size = 0;
  for await (const chunk of decompressed(stored)) {
    size += chunk.length;
    if (size > bound) {
      throw new TransferError(
        'invalid-request',
        `unpacking layer ${layer.descriptor.digest}: it inflates from ${layer.descriptor.size} to more than ${bound} bytes`,
      );
    }
    if (!isKnown) hash.update(chunk);
    yield chunk;
  }
  if (isKnown) return;
  const actual = hash.digest('hex');
  if (actual !== expected) {
    throw new TransferError(
      'digest-mismatch',
      `unpacking layer ${layer.descriptor.digest}: expected ${layer.diffId}, got ${algorithm}:${actual}`,
    );
  }
}

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
/** 0x184D2A50 to 0x184D2A5F, little-endian (RFC 8878 §3.1.2). */
const SKIPPABLE = [0x2a, 0x4d, 0x18];
const MAGIC_BYTES = 4;

async function* decompressed(stored: Bytes): AsyncGenerator<Uint8Array> {
  const source = stored[Symbol.asyncIterator]();
  let isOver = false;
  const begin: Uint8Array[] = [];
  const whole: AsyncIterator<Uint8Array> = {
    next: async () => {
      const value = begin.shift();
      if (value) return { value };
      const result = isOver ? { done: true as const, value: undefined } : await source.next();
      isOver = result.done === true;
      return result;
    },
  };
  try {
    let head = Buffer.alloc(0);
    while (head.length < MAGIC_BYTES && !isOver) {
      const { value, done } = await source.next();
      if (done) isOver = true;
      else {
        begin.push(value);
        head = Buffer.concat([head, value.subarray(0, MAGIC_BYTES)]);
      }
    }
    yield* decode(head, whole);
  } catch (error) {
    // Bytes that came wrong do not unpack: then their digest is what is wrong. Its source says so at its end.
    while (!isOver) isOver = (await source.next()).done === true;
    throw error;
  } finally {
    await source.return?.();
  }
}

function decode(head: Uint8Array, source: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  const has = (magic: readonly number[], at = 0) => magic.every((byte, index) => head[at + index] === byte);
  if (has(GZIP)) return gunzipped(source);
  const isZstd = has(ZSTD) || (has(SKIPPABLE, 1) && ((head[0] ?? 0) & 0xf0) === 0x50);
  if (isZstd) return unzstd(source);
  return { [Symbol.asyncIterator]: () => source };
}
