import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { TransferError } from '../../src/errors.ts';
import type { Layer } from '../../src/image/image.ts';
import { archive, chunked, type Written } from './archives.ts';

export const sha256 = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface MadeLayer extends Layer {
  /** How often it was read. */
  readonly reads: () => number;
}

/** A layer that is stored as `stored` and holds `content`; like a service, it says at its end when it was `damaged` on the way. */
export function layerOf(stored: Uint8Array, content: Uint8Array, damaged: Uint8Array = stored): MadeLayer {
  const digest = sha256(stored);
  let reads = 0;
  return {
    descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: stored.length },
    diffId: sha256(content),
    reads: () => reads,
    read: async () => {
      reads += 1;
      return checked(damaged, digest);
    },
  };
}

async function* checked(bytes: Uint8Array, digest: string): AsyncGenerator<Uint8Array> {
  yield* chunked(bytes, 3, 1000, 65_536);
  if (sha256(bytes) !== digest) throw new TransferError('digest-mismatch', 'reading the blob: other bytes');
}

/** A layer of these members, compressed as most are. */
export function layer(...members: readonly Written[]): MadeLayer {
  const content = archive(members);
  return layerOf(gzipSync(content, { level: 1 }), content);
}
