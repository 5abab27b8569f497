import { TransferError } from '../errors.ts';
import type { Bytes } from '../protocol.ts';

/** From this size on a body is announced and waits for leave to be sent; below, it is held in memory and can be sent again. */
export const LARGE_BODY = 1024 * 1024;

/** A request body and whether any of it was asked for. */
export interface Outgoing {
  readonly size: number | undefined;
  /** A small body, whole: it may be sent any number of times. */
  readonly whole: readonly Uint8Array[] | undefined;
  readonly bytes: Bytes;
  isTouched: boolean;
}

/** The body for sending. A small one is read to its end first; a wrong size then rejects with `size-mismatch` before anything was sent. */
export async function prepareBody(bytes: Bytes, size: number | undefined, doing: string): Promise<Outgoing> {
  if (size === undefined || size >= LARGE_BODY) return { size, whole: undefined, bytes, isTouched: false };
  const whole: Uint8Array[] = [];
  let count = 0;
  for await (const chunk of bytes) {
    count += chunk.length;
    if (count > size) break;
    if (chunk.length > 0) whole.push(chunk);
  }
  if (count !== size) throw wrongSize(doing, count, size);
  return { size, whole, bytes, isTouched: true };
}

/** The error of a body that is not as long as was promised. */
export function wrongSize(doing: string, count: number, size: number): TransferError {
  const text =
    count > size
      ? `the body is longer than the ${size} bytes promised`
      : `the body ended after ${count} of ${size} bytes`;
  return new TransferError('size-mismatch', `${doing}: ${text}`);
}

/** True when the body can be sent (again). */
export function isSendable(body: Outgoing): boolean {
  return body.whole !== undefined || !body.isTouched;
}
