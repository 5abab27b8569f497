import { TransferError } from './errors.ts';
import { type BlockDigests, startBlocks } from './integrity/block-digests.ts';
import { createSpreadHasher } from './integrity/hasher.ts';
import { requireDigests } from './integrity/verification.ts';
import type { Algorithm, Digest, Endpoint, RetryUnit, Source } from './protocol.ts';
import { giveBack } from './slabs.ts';
import { resume } from './stages.ts';

export interface ReadThroughCall {
  readonly algorithms: readonly Algorithm[];
  /** The digests of its blocks, too. */
  readonly blocks?: boolean;
  /** For messages; no secrets. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly retry: RetryUnit;
  /** Past caches and proxies. */
  readonly fresh?: boolean;
}

export interface ReadThrough {
  readonly bytes: number;
  readonly digests: readonly Digest[];
  readonly blocks?: BlockDigests;
}

/**
 * The digests of a file of any service, by reading it through: the half of a transfer that has no sink. A read that
 * breaks off goes on by range and version. Rejects with `digest-mismatch` where the service itself told another digest,
 * `size-mismatch` where it sent another count of bytes than it declared.
 */
export function readThrough(endpoint: Endpoint, path: string, call: ReadThroughCall): Promise<ReadThrough> {
  return call.retry(() => readOnce(endpoint, path, call));
}

async function readOnce(endpoint: Endpoint, path: string, call: ReadThroughCall): Promise<ReadThrough> {
  const { signal, fresh, algorithms } = call;
  const doing = `read \`${call.name}\``;
  const source = await endpoint.read(path, { signal, fresh });
  let last: Source = source;
  const hasher = await createSpreadHasher(algorithms, source.size);
  const blocks = call.blocks ? startBlocks() : undefined;
  let bytes = 0;
  try {
    const resumed = resume(source, {
      from: endpoint,
      path,
      start: 0,
      signal,
      ...(fresh === undefined ? {} : { fresh }),
      onContinue: (_at, _why, rest) => {
        last = rest;
      },
    });
    for await (const chunk of resumed) {
      bytes += chunk.length;
      blocks?.update(chunk);
      const wait = hasher.update(chunk);
      if (wait) await wait;
      giveBack(chunk);
    }
    if (source.size !== undefined && bytes !== source.size) {
      throw new TransferError('size-mismatch', `${doing}: expected ${source.size} bytes, got ${bytes}`);
    }
    await last.confirm?.();
    const trailer = (await last.trailer?.()) ?? [];
    const ours = await hasher.digests();
    requireDigests({ doing, ours, expected: [], source, trailer });
    return {
      bytes,
      ...(blocks ? { blocks: blocks.end() } : {}),
      digests: algorithms.map((algorithm) => ({ algorithm, value: ours.get(algorithm) ?? '' })),
    };
  } finally {
    hasher.close();
    await source.discard?.();
    if (last !== source) await last.discard?.();
  }
}
