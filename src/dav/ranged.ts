import { TransferError } from '../errors.ts';
import type { RetryUnit } from '../protocol.ts';
import { askSize } from './propfind.ts';
import { readFile } from './read.ts';
import { ask, type DavService, isDone, refusal } from './service.ts';

/** Bytes that are sent and read back to see that a range is stored in its place. */
export const PIECE = 64;

/** An upload under its hidden name. */
export interface Ranged {
  readonly service: DavService;
  readonly partial: string;
  readonly doing: string;
  readonly signal: AbortSignal;
  readonly retry: RetryUnit;
}

/** `start` up to, not including, `end`, of a file of `size` bytes (RFC 9110 §14.4, as RFC 9110 §14.5 has it for PUT). */
export function rangeFields(start: number, end: number, size: number | '*'): Record<string, string> {
  return { 'content-range': `bytes ${start}-${end - 1}/${size}` };
}

/**
 * Whether the server puts a range where it belongs: the last bytes of `found` go to `start`, and afterwards the partial
 * must have `length` bytes, and `found` from `from` on. A server that does not may refuse, append, or keep what it got
 * as the whole: the partial is nobody's file yet.
 */
export async function storesRange(
  file: Ranged,
  place: {
    readonly found: Uint8Array;
    readonly from: number;
    readonly start: number;
    readonly length: number;
    /** Of the file that is to come. */
    readonly size: number | '*';
  },
): Promise<boolean> {
  const { service, partial, retry, doing } = file;
  const { found, from, start, length, size } = place;
  const end = from + found.length;
  const piece = found.subarray(start - from);
  const isTaken = await retry(async (signal) => {
    const headers = rangeFields(start, end, size);
    const body = bytesOf(piece);
    const request = { method: 'PUT', path: partial, headers, body, size: piece.length, signal };
    const response = await ask(service, request);
    // What goes away by itself says nothing of ranges.
    if (response.status === 429 || response.status === 503) throw await refusal(response, doing);
    await response.discard();
    return isDone(response);
  });
  if (!isTaken || (await askSize(service, partial, file.signal)).size !== length) return false;
  return (await readPiece(file, from, end))?.equals(found) === true;
}

/**
 * The bytes of the partial from `start` to `end`; undefined when it does not have just so many there, or the server
 * gives no ranges.
 */
export async function readPiece(file: Ranged, start: number, end: number): Promise<Buffer | undefined> {
  const { service, partial, retry } = file;
  return retry(async (signal) => {
    try {
      const { size } = await askSize(service, partial, signal);
      if (size === undefined || size < end) return undefined;
      const source = await readFile(service, partial, { signal, range: { start, end }, fresh: true });
      const chunks: Uint8Array[] = [];
      for await (const chunk of source.bytes) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    } catch (error) {
      if (error instanceof TransferError && !error.transient && error.code !== 'canceled') return undefined;
      throw error;
    }
  });
}

async function* bytesOf(piece: Uint8Array): AsyncGenerator<Uint8Array> {
  yield piece;
}

/** The error of a partial that cannot be gone on with; the next try begins anew. */
export function cannotGoOn(doing: string): TransferError {
  return new TransferError('changed', `${doing}: the server cannot go on with a partial`);
}
