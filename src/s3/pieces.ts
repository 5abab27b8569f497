import { onAbort } from '../abort.ts';
import { TransferError } from '../errors.ts';
import { contentRange } from '../http/validators.ts';
import type { Bytes, HttpResponse, ReadCall, Source } from '../protocol.ts';
import { bareTag, conditionOf, versionOf } from './checksums.ts';
import type { S3Client } from './client.ts';
import type { S3Object } from './place.ts';

/** Bytes of one range. */
const PIECE = 8 * 1024 * 1024;

/** Ranges on their way at a time; this many pieces are held in memory at most. */
const AHEAD = 3;

/** Memory that reading a file of `size` bytes takes. */
export function readMemory(size: number | undefined): number {
  return size === undefined || !isWorthPieces(size) ? 0 : AHEAD * PIECE;
}

/** One connection is as good for what is soon over. */
export function isWorthPieces(bytes: number): boolean {
  return bytes >= 4 * PIECE;
}

export interface PiecesCall extends ReadCall {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
  /** The answer to a request for all of it: the first piece is taken from there. */
  readonly first: HttpResponse;
}

/** Bytes `start` to `end`, fetched by ranges of the version of `source` and put back in order. */
export async function* readPieces(client: S3Client, object: S3Object, call: PiecesCall): Bytes {
  const ender = new AbortController();
  const forget = onAbort(call.signal, () => ender.abort(call.signal.reason));
  const pieces: Piece[] = [];
  let at = call.start;
  const open = () => {
    const range = { start: at, end: Math.min(at + PIECE, call.end) };
    const answer =
      at === call.start ? Promise.resolve(call.first) : ask(client, object, call, range, ender.signal);
    at = range.end;
    pieces.push(fill(answer, range.end - range.start, object));
  };
  try {
    while (at < call.end && pieces.length < AHEAD) open();
    for (let piece = pieces[0]; piece; piece = pieces[0]) {
      yield* drain(piece);
      pieces.shift();
      if (at < call.end) open();
    }
  } finally {
    forget();
    ender.abort(new TransferError('canceled', 'the rest was not wanted'));
    await call.first.discard();
  }
}

async function ask(
  client: S3Client,
  object: S3Object,
  call: PiecesCall,
  range: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): Promise<HttpResponse> {
  const doing = `read \`${object.name}\``;
  const { version } = call.source;
  const response = await client.send({
    method: 'GET',
    bucket: object.bucket,
    key: object.key,
    headers: { range: `bytes=${range.start}-${range.end - 1}`, ...conditionOf(version) },
    accepts: [412, 416],
    fresh: call.fresh,
    signal,
    doing,
  });
  const given = contentRange(response.headers['content-range']);
  const isSame = versionOf(bareTag(response.headers.etag)) === version;
  if (response.status === 206 && isSame && given?.start === range.start && given.end === range.end)
    return response;
  await response.discard();
  throw response.status === 206 && isSame
    ? new TransferError('unavailable', `${doing}: the service sends something else than the range`)
    : new TransferError('changed', `${doing}: it is no longer the version that was asked for`);
}

/** Chunks of one range as they come in. */
interface Piece {
  readonly chunks: Uint8Array[];
  isDone: boolean;
  failure: unknown;
  wake: () => void;
}

function fill(answer: Promise<HttpResponse>, length: number, object: S3Object): Piece {
  const piece: Piece = { chunks: [], isDone: false, failure: undefined, wake: () => undefined };
  void (async () => {
    let left = length;
    try {
      for await (const chunk of (await answer).body) {
        const part = chunk.length > left ? chunk.subarray(0, left) : chunk;
        left -= part.length;
        piece.chunks.push(part);
        piece.wake();
        if (left === 0) break;
      }
      if (left > 0) {
        throw new TransferError(
          'unavailable',
          `read \`${object.name}\`: ${left} bytes of a range did not come`,
        );
      }
    } catch (error) {
      piece.failure = error;
    }
    piece.isDone = true;
    piece.wake();
  })();
  return piece;
}

async function* drain(piece: Piece): Bytes {
  for (;;) {
    const chunk = piece.chunks.shift();
    if (chunk) yield chunk;
    else if (piece.failure !== undefined) throw piece.failure;
    else if (piece.isDone) return;
    else {
      await new Promise<void>((resolve) => {
        piece.wake = resolve;
      });
    }
  }
}
