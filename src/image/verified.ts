import { createHash, type Hash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import type { Bytes } from '../protocol.ts';
import type { Descriptor } from './image.ts';

/** How far the bytes of a blob were seen, and their digest so far. */
export interface Seen {
  readonly hash: Hash;
  /** Bytes. */
  at: number;
}

/** Nothing seen yet. */
export function startSeen(): Seen {
  return { hash: createHash('sha256'), at: 0 };
}

/**
 * The bytes of a blob from `seen.at` on, which `seen` follows chunk by chunk. Rejects with `size-mismatch` as soon as
 * there are too many, and after the last one with `size-mismatch` or `digest-mismatch` when they are not what the
 * descriptor says: then nothing of them may be used.
 */
export async function* verified(
  bytes: Bytes,
  { digest, size }: Descriptor,
  doing: string,
  seen: Seen = startSeen(),
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    if (seen.at + chunk.length > size) {
      throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got more`);
    }
    seen.hash.update(chunk);
    seen.at += chunk.length;
    // The last chunk is held back until it is known to be right.
    if (seen.at === size) requireDigest(seen, digest, doing);
    yield chunk;
  }
  if (seen.at !== size) {
    throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got ${seen.at}`);
  }
  if (size === 0) requireDigest(seen, digest, doing);
}

function requireDigest({ hash }: Seen, digest: string, doing: string): void {
  const found = `sha256:${hash.copy().digest('hex')}`;
  if (found === digest) return;
  throw new TransferError('digest-mismatch', `${doing}: expected \`${digest}\`, the bytes have \`${found}\``);
}

/** Throws as {@link verified} does for bytes that are all there. */
export function requireBlob(bytes: Uint8Array, { digest, size }: Descriptor, doing: string): void {
  if (bytes.length !== size) {
    throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got ${bytes.length}`);
  }
  const seen = startSeen();
  seen.hash.update(bytes);
  requireDigest(seen, digest, doing);
}
