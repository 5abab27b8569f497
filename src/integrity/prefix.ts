import fs from 'node:fs';
import type { Algorithm } from '../protocol.ts';
import { type RunningBlocks, startBlocks } from './block-digests.ts';
import { type Running, startDigest } from './digests.ts';

/** The sha256 of a file from its start up to `end`, as it was when those bytes were written. */
export interface PrefixDigest {
  readonly end: number;
  readonly sha256: string;
}

export interface Proven {
  /** The content is what it was up to here. */
  readonly bytes: number;
  /** Running digests of exactly those bytes. */
  readonly state: Map<Algorithm, Running>;
  /** The same of its blocks, where they were asked for. */
  readonly inBlocks: RunningBlocks | undefined;
}

const READ_BYTES = 1024 * 1024;

/**
 * How much of the open file still is what the prefix digests say, with digests that can go on from there. One pass; a
 * second one only when a block is wrong (a power cut lost it), because a digest cannot be wound back.
 */
export async function proveBlocks(
  fd: number,
  algorithms: readonly Algorithm[],
  blocks: readonly PrefixDigest[],
  how: { readonly inBlocks?: boolean } = {},
): Promise<Proven> {
  const inBlocks = how.inBlocks ? startBlocks() : undefined;
  const state = new Map<Algorithm, Running>();
  for (const algorithm of algorithms) state.set(algorithm, await startDigest(algorithm));
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let at = 0;
  for (const block of blocks) {
    const proof = state.get('sha256') ?? (await startDigest('sha256'));
    state.set('sha256', proof);
    while (at < block.end) {
      const got = fs.readSync(fd, buffer, 0, Math.min(READ_BYTES, block.end - at), at);
      if (got === 0) break;
      for (const running of state.values()) running.update(buffer.subarray(0, got));
      inBlocks?.update(buffer.subarray(0, got));
      at += got;
    }
    if (at < block.end || proof.value() !== block.sha256) {
      return proveBlocks(fd, algorithms, blocks.slice(0, blocks.indexOf(block)), how);
    }
  }
  return { bytes: at, state, inBlocks };
}
