import { readThrough } from './digesting.ts';
import { TransferError } from './errors.ts';
import { type BlockDigests, startBlocks } from './integrity/block-digests.ts';
import { startDigest } from './integrity/digests.ts';
import type { Bytes, Digest, Endpoint, RetryUnit, Stat } from './protocol.ts';
import { giveBack, SLAB_BYTES } from './slabs.ts';
import type { Side } from './stream.ts';

/** What the content must be. */
export interface KnownBlocks {
  readonly size: number;
  readonly blocks: BlockDigests;
  /** Of the whole; compared before anything is replaced. */
  readonly digests: readonly Digest[];
}

export interface RepairCall {
  readonly from: Side;
  /** A local file; any for `dryRun`. */
  readonly to: Side;
  /** Without it, all of the source is read for the digests of its blocks. */
  readonly known: KnownBlocks | undefined;
  /** Names the partial; made from the destination. */
  readonly key: string;
  /** Only find the damage. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly retry: RetryUnit;
}

/** A block whose content is not what it must be. */
export interface DamagedBlock {
  readonly index: number;
  readonly start: number;
  /** Not included. */
  readonly end: number;
  /** First and last byte that differ; undefined where nothing was fetched to compare with. */
  readonly differs?: { readonly first: number; readonly last: number; readonly bytes: number };
}

export interface RepairResult {
  readonly size: number;
  readonly blocks: number;
  readonly damaged: readonly DamagedBlock[];
  /** Bytes behind the end that the file must have. */
  readonly excess: number;
  /** Bytes that came from the source. */
  readonly fetched: number;
  /** The destination was replaced by the whole, right content. */
  readonly isRepaired: boolean;
}

/**
 * Brings a damaged local file back to what it must be, with only the damaged blocks fetched from the source. The file
 * is replaced as a whole, once its blocks and its digest are right: a repair that fails changes nothing. Rejects with
 * `changed` when the source is not the content that the digests are of.
 */
export async function repair(call: RepairCall): Promise<RepairResult> {
  const { from, to, signal } = call;
  // To tell the damage, digests are enough: the source may be gone.
  const isAsked = !(call.dryRun && call.known);
  const source: Stat = isAsked
    ? await call.retry(() => from.endpoint.stat(from.path, { signal }))
    : { type: 'file' };
  const known = call.known ?? (await readBlocks(call));
  if (source.size !== undefined && source.size !== known.size) {
    throw new TransferError(
      'changed',
      `repair \`${to.name}\`: the digests are of ${known.size} bytes, \`${from.name}\` has ${source.size}`,
    );
  }
  const there = await call.retry(() => to.endpoint.stat(to.path, { signal }));
  const damaged = await call.retry(() => findDamage(call, known));
  const read = call.known ? 0 : known.size;
  const excess = Math.max(0, (there.size ?? 0) - known.size);
  const result = { size: known.size, blocks: known.blocks.sha256.length, excess, fetched: read };
  const isWhole = damaged.length === 0 && excess === 0;
  if (isWhole || call.dryRun) return { ...result, damaged, isRepaired: false };
  const told = await replace(call, { known, damaged, source, there });
  return {
    ...result,
    damaged: told,
    fetched: read + damaged.reduce((sum, { start, end }) => sum + end - start, 0),
    isRepaired: true,
  };
}

async function readBlocks({ from, signal, retry }: RepairCall): Promise<KnownBlocks> {
  const { name, endpoint, path } = from;
  const read = await readThrough(endpoint, path, {
    algorithms: ['sha256'],
    blocks: true,
    name,
    signal,
    retry,
  });
  if (!read.blocks) throw new TransferError('unexpected', `read \`${name}\`: no digests of blocks`);
  return { size: read.bytes, blocks: read.blocks, digests: read.digests };
}

/** The blocks of the destination that are not what they must be, those that it lacks included. */
async function findDamage({ to, signal }: RepairCall, known: KnownBlocks): Promise<DamagedBlock[]> {
  const running = startBlocks(known.blocks.size);
  const source = await to.endpoint.read(to.path, { signal });
  for await (const chunk of source.bytes) {
    running.update(chunk);
    giveBack(chunk);
  }
  await source.confirm?.();
  const found = running.end().sha256;
  return known.blocks.sha256.flatMap((sha256, index) => {
    const start = index * known.blocks.size;
    const end = Math.min(start + known.blocks.size, known.size);
    return found[index] === sha256 ? [] : [{ index, start, end }];
  });
}

interface Replacing {
  readonly known: KnownBlocks;
  readonly damaged: readonly DamagedBlock[];
  readonly source: Stat;
  readonly there: Stat;
}

async function replace(call: RepairCall, work: Replacing): Promise<readonly DamagedBlock[]> {
  const { to, key, signal, retry } = call;
  const { known, there } = work;
  const write = to.endpoint.write;
  if (!write) throw new TransferError('unsupported', `repair \`${to.name}\`: it cannot be written to`);
  const told: DamagedBlock[] = [];
  const running = await Promise.all(known.digests.map(({ algorithm }) => startDigest(algorithm)));
  async function* hashed(bytes: Bytes): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      for (const one of running) one.update(chunk);
      yield chunk;
    }
  }
  const staged = await write(to.path, hashed(content(call, work, told)), {
    key,
    signal,
    retry,
    size: known.size,
    mode: there.mode,
    exactMode: there.mode,
  });
  try {
    for (const [at, { algorithm, value }] of known.digests.entries()) {
      const own = running[at]?.end();
      if (own === value) continue;
      throw new TransferError(
        'digest-mismatch',
        `repair \`${to.name}\`: expected ${algorithm} ${value}, with all blocks right it has ${own}`,
      );
    }
  } catch (error) {
    await staged.abort();
    throw error;
  }
  await staged.commit(signal);
  return told;
}

/** The right content: good stretches from the destination, damaged blocks from the source. */
async function* content(call: RepairCall, work: Replacing, told: DamagedBlock[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const block of work.damaged) {
    yield* kept(call, work, at, block.start);
    const old = await oldBytes(call, work, block);
    const fresh = await fetchBlock(call, work, block);
    told.push({ ...block, differs: difference(old, fresh, block.start) });
    for (let from = 0; from < fresh.length; from += SLAB_BYTES) yield fresh.subarray(from, from + SLAB_BYTES);
    at = block.end;
  }
  yield* kept(call, work, at, work.known.size);
}

async function* kept(
  { to, signal }: RepairCall,
  { there }: Replacing,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  if (start >= end) return;
  const source = await to.endpoint.read(to.path, { signal, range: { start, end }, version: there.version });
  yield* source.bytes;
  await source.confirm?.();
}

async function oldBytes(call: RepairCall, work: Replacing, { start, end }: DamagedBlock): Promise<Buffer> {
  const here = Math.min(end, work.there.size ?? 0);
  return start < here ? gather(kept(call, work, start, here)) : Buffer.alloc(0);
}

function fetchBlock(
  { from, signal, retry }: RepairCall,
  { known, source }: Replacing,
  { index, start, end }: DamagedBlock,
): Promise<Buffer> {
  return retry(async () => {
    const { version } = source;
    const reading = from.endpoint.read(from.path, { signal, range: { start, end }, version, fresh: true });
    const read = await reading.catch(withoutRanges);
    const bytes = await gather(read.bytes);
    await read.confirm?.();
    const running = startBlocks(known.blocks.size);
    running.update(bytes);
    if (bytes.length === end - start && running.end().sha256[0] === known.blocks.sha256[index]) return bytes;
    throw new TransferError(
      'digest-mismatch',
      `read \`${from.name}\`: bytes ${start} to ${end - 1} are not what the digests are of`,
    );
  });
}

function withoutRanges(error: unknown): never {
  if (!(error instanceof TransferError) || error.code !== 'range-ignored') throw error;
  const hint = 'no block can be fetched by itself from there: `bridle cp` fetches the whole file';
  throw new TransferError('unsupported', error.message, { cause: error, hint });
}

async function gather(bytes: Bytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) {
    chunks.push(Buffer.from(chunk));
    giveBack(chunk);
  }
  return Buffer.concat(chunks);
}

function difference(old: Buffer, fresh: Buffer, start: number): NonNullable<DamagedBlock['differs']> {
  let first = -1;
  let last = -1;
  let bytes = 0;
  for (let at = 0; at < fresh.length; at += 1) {
    if (old[at] === fresh[at]) continue;
    if (first < 0) first = at;
    last = at;
    bytes += 1;
  }
  return { first: start + first, last: start + last, bytes };
}

/** True for an endpoint that a repair can write to. */
export function canBeRepaired(endpoint: Endpoint): boolean {
  return endpoint.isLocal === true && endpoint.write !== undefined;
}
