import { MAX_HEAD_BYTES, parseFields } from './head.ts';

/** A chunk header is a hexadecimal number and rarely an extension; nothing real comes near this. */
const MAX_CHUNK_HEADER = 4096;

type Step = 'size' | 'extension' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'done';

/** Where a chunked body (RFC 9112 §7.1) stands between two reads. */
export interface ChunkDecoder {
  step: Step;
  /** Bytes left of the current chunk. */
  left: number;
  digits: number;
  headerBytes: number;
  trailerText: string;
  trailers: Record<string, string>;
}

/** A decoder before the first byte of a body. */
export function createChunkDecoder(): ChunkDecoder {
  return { step: 'size', left: 0, digits: 0, headerBytes: 0, trailerText: '', trailers: {} };
}

/** What one {@link decodeChunks} left: the end of the payload, and of the bytes that belong to the body. */
export interface Decoded {
  readonly payloadEnd: number;
  readonly consumed: number;
  readonly problem?: string;
}

const CR = 13;
const LF = 10;
const SEMICOLON = 59;

/**
 * Decodes `buffer[from..to)` in place: payload is moved down to `from` and on. After the last chunk and its trailers,
 * `step` is `done` and `consumed` says where foreign bytes begin.
 */
export function decodeChunks(decoder: ChunkDecoder, buffer: Uint8Array, from: number, to: number): Decoded {
  let out = from;
  let at = from;
  while (at < to && decoder.step !== 'done') {
    if (decoder.step === 'data') {
      const length = Math.min(decoder.left, to - at);
      if (out !== at) buffer.copyWithin(out, at, at + length);
      out += length;
      at += length;
      decoder.left -= length;
      if (decoder.left === 0) decoder.step = 'data-cr';
      continue;
    }
    const problem =
      decoder.step === 'trailer' ? trailerByte(decoder, buffer[at]!) : headerByte(decoder, buffer[at]!);
    if (problem !== undefined) return { payloadEnd: out, consumed: at, problem };
    at++;
  }
  return { payloadEnd: out, consumed: at };
}

function headerByte(decoder: ChunkDecoder, byte: number): string | undefined {
  if (++decoder.headerBytes > MAX_CHUNK_HEADER) return 'a chunk header of the answer is too long';
  switch (decoder.step) {
    case 'size': {
      const digit = hexDigit(byte);
      if (digit >= 0) {
        // 13 digits stay below 2^53.
        if (++decoder.digits > 13) return 'a chunk of the answer is too large';
        decoder.left = decoder.left * 16 + digit;
        return undefined;
      }
      if (decoder.digits === 0) return 'a chunk of the answer has no size';
      if (byte === CR) decoder.step = 'size-lf';
      else if (byte === SEMICOLON || byte === 32 || byte === 9) decoder.step = 'extension';
      else return 'a chunk size of the answer is malformed';
      return undefined;
    }
    case 'extension':
      if (byte === CR) decoder.step = 'size-lf';
      else if (byte === LF || byte === 0) return 'a chunk extension of the answer is malformed';
      return undefined;
    case 'size-lf':
      if (byte !== LF) return 'a chunk size of the answer is malformed';
      decoder.step = decoder.left === 0 ? 'trailer' : 'data';
      return undefined;
    case 'data-cr':
      if (byte !== CR) return 'a chunk of the answer is longer than its size';
      decoder.step = 'data-lf';
      return undefined;
    default:
      if (byte !== LF) return 'a chunk of the answer is longer than its size';
      decoder.step = 'size';
      decoder.left = 0;
      decoder.digits = 0;
      decoder.headerBytes = 0;
      return undefined;
  }
}

function trailerByte(decoder: ChunkDecoder, byte: number): string | undefined {
  decoder.trailerText += String.fromCharCode(byte);
  const text = decoder.trailerText;
  if (text.length > MAX_HEAD_BYTES)
    return `the trailers of the answer are longer than ${MAX_HEAD_BYTES} bytes`;
  if (byte !== LF) return undefined;
  if (!text.endsWith('\r\n')) return 'a trailer line of the answer is malformed';
  if (text !== '\r\n' && !text.endsWith('\r\n\r\n')) return undefined;
  const fields = parseFields(text === '\r\n' ? '' : text.slice(0, -4));
  if (typeof fields === 'string') return fields;
  decoder.trailers = fields;
  decoder.step = 'done';
  return undefined;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
