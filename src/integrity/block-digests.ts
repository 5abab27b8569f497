import { createHash, type Hash } from 'node:crypto';

/** Bytes of one block: a damaged one is fetched anew in a second or two, and 4 GiB have 512. */
export const BLOCK_BYTES = 8 * 1024 * 1024;

/** The sha256 of each block of a file, the last one as long as what is left. An empty file has none. */
export interface BlockDigests {
  /** Bytes of a block. */
  readonly size: number;
  /** Lower-case hexadecimal, in order. */
  readonly sha256: readonly string[];
}

/** The digests of a file that is no longer than a block, from its own; undefined for a longer one. */
export function oneBlock(bytes: number, sha256: string | undefined): BlockDigests | undefined {
  if (sha256 === undefined || bytes > BLOCK_BYTES) return undefined;
  return { size: BLOCK_BYTES, sha256: bytes === 0 ? [] : [sha256] };
}

export interface RunningBlocks {
  update(chunk: Uint8Array): void;
  end(): BlockDigests;
}

/** Digests of blocks, taken as the bytes come. */
export function startBlocks(size: number = BLOCK_BYTES): RunningBlocks {
  const sha256: string[] = [];
  let hash: Hash | undefined;
  let room = size;
  const close = () => {
    if (hash) sha256.push(hash.digest('hex'));
    hash = undefined;
    room = size;
  };
  return {
    update(chunk) {
      for (let at = 0; at < chunk.length; ) {
        const piece = chunk.subarray(at, at + room);
        hash ??= createHash('sha256');
        hash.update(piece);
        room -= piece.length;
        at += piece.length;
        if (room === 0) close();
      }
    },
    end() {
      close();
      return { size, sha256 };
    },
  };
}
