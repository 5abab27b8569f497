import { TransferError } from './errors.ts';
import type { Hasher } from './integrity/hasher.ts';
import type { PrefixDigest } from './integrity/prefix.ts';
import type { Bytes, Endpoint, Source } from './protocol.ts';

/** A resume that gains less than this counts as none. */
const GAIN_BYTES = 1024 * 1024;
/** Resumes without gain, in a row, that end the attempt. */
const FRUITLESS = 5;

/** Codes after which the same bytes may still come from the same place. */
const BROKEN_OFF = new Set(['unavailable', 'stalled', 'timed-out', 'rate-limited']);

export interface ResumeOptions {
  readonly from: Endpoint;
  readonly path: string;
  /** Offset of the first byte that `source` yields. */
  readonly start: number;
  readonly fresh?: boolean;
  readonly signal: AbortSignal;
  /** Sees every chunk before it goes on; a promise holds it back. */
  readonly tap?: (chunk: Uint8Array) => void | Promise<void>;
  /** The rest comes from `source` now: what is asked after the last byte is asked there. */
  readonly onContinue: (offset: number, why: string, source: Source) => void;
}

/**
 * The bytes of `source`, going on by range and version where a read breaks off. A source without a version is not
 * resumed: nothing would prove that the rest belongs to the same content.
 */
export async function* resume(source: Source, options: ResumeOptions): AsyncGenerator<Uint8Array> {
  let at = options.start;
  let bytes = source.bytes;
  // A body that was cut without a length declared: the answer to the range says how long the whole is.
  let size = source.size;
  for (let fruitless = 0; ; ) {
    const began = at;
    try {
      for await (const chunk of bytes) {
        at += chunk.length;
        const wait = options.tap?.(chunk);
        if (wait) await wait;
        yield chunk;
      }
      // A server may answer a range with less than was asked for (RFC 9110 §14.2).
      if (size === undefined || at >= size) return;
      throw new TransferError('unavailable', `read: ended after ${at} of ${size} bytes`);
    } catch (error) {
      if (!(error instanceof TransferError) || !BROKEN_OFF.has(error.code)) throw error;
      if (source.version === undefined || options.signal.aborted || at === size) throw error;
      fruitless = at - began >= GAIN_BYTES ? 0 : fruitless + 1;
      if (fruitless >= FRUITLESS) throw error;
      bytes = await reopen(error);
    }
  }

  async function reopen(broken: TransferError): Promise<Bytes> {
    for (let tries = 1; ; tries += 1) {
      try {
        const again = await options.from.read(options.path, {
          signal: options.signal,
          range: { start: at },
          version: source.version,
          fresh: options.fresh,
        });
        if (again.size !== (size ?? again.size)) throw await differs(again);
        size = again.size;
        options.onContinue(at, broken.message, again);
        return again.bytes;
      } catch (error) {
        if (!(error instanceof TransferError)) throw error;
        // A server that cannot go on leaves the attempt with what broke it; the next one starts over.
        if (error.code === 'range-ignored') throw broken;
        if (!BROKEN_OFF.has(error.code) || error.retryAfter !== undefined || tries >= FRUITLESS) throw error;
      }
    }
  }
}

async function differs(again: Source): Promise<TransferError> {
  await again.discard?.();
  return new TransferError('changed', 'read: the size changed while it was read');
}

/** Feeds every byte to the hasher, and tells the digest of the prefix each time `blockBytes` more have passed. */
export async function* hash(
  bytes: Bytes,
  hasher: Hasher,
  blocks: {
    readonly start: number;
    readonly blockBytes: number;
    readonly onBlock: (block: PrefixDigest) => void;
  },
): AsyncGenerator<Uint8Array> {
  const { blockBytes, onBlock } = blocks;
  let at = blocks.start;
  for await (const chunk of bytes) {
    let rest = chunk;
    for (let end = nextBlock(at, blockBytes); end <= at + rest.length; end = nextBlock(at, blockBytes)) {
      const here = end;
      await hasher.update(rest.subarray(0, end - at));
      // Not awaited: the answer comes behind the bytes, and the stream need not wait for it.
      // A block that cannot be written down (a full disk) is one that a resume will do without.
      hasher
        .prefix()
        .then((sha256) => onBlock({ end: here, sha256 }))
        .catch(() => undefined);
      rest = rest.subarray(end - at);
      at = end;
    }
    if (rest.length > 0) await hasher.update(rest);
    at += rest.length;
    yield chunk;
  }
}

function nextBlock(at: number, blockBytes: number): number {
  return (Math.floor(at / blockBytes) + 1) * blockBytes;
}

/** Holds each chunk back until the limiter has room for it. */
export async function* throttle(
  bytes: Bytes,
  take: (bytes: number, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    await take(chunk.length, signal);
    yield chunk;
  }
}

/** Appends text that does not belong there: what `PEGASUS_TRANSFER_ERROR_RATE` asks for to test verification. */
export async function* fault(bytes: Bytes, text: string): AsyncGenerator<Uint8Array> {
  yield* bytes;
  yield Buffer.from(text);
}
