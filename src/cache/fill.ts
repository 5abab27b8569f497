import fs, { constants } from 'node:fs';
import { isMismatch, TransferError } from '../errors.ts';
import { createHasher } from '../integrity/hasher.ts';
import { chunksOf } from '../local/chunks.ts';
import { diskKind, writeAt } from '../local/disk.ts';
import type { Bytes, Digest } from '../protocol.ts';
import { giveBack } from '../slabs.ts';
import type { Claim } from './claim.ts';
import { keepContent } from './content.ts';
import type { CachePlace, Subject } from './place.ts';

/** What is wanted, and how it is had. */
export interface Wanted {
  readonly subject: Subject;
  /** For messages; no secrets. */
  readonly name: string;
  /** Bytes of the whole, where they are known. */
  readonly size?: number;
  /** The bytes from `start` on. What cannot begin anywhere else is asked from 0 on only, when it says so by `wholly`. */
  fetch(start: number, signal: AbortSignal): Promise<Bytes>;
  readonly wholly?: boolean;
  /** Permission bits to keep it with, without any to write; 0444 when left out. */
  readonly mode?: number;
  /** Milliseconds that whoever waits for it gives the one that makes it, in place of those of the cache. */
  readonly patience?: number;
}

export interface FillCall {
  readonly signal: AbortSignal;
  /** Called with the bytes that there are. */
  readonly onBytes?: (size: number) => void;
}

const { O_RDWR, O_NOFOLLOW } = constants;

/**
 * Goes on with what the claim holds, until it is whole and proven, and keeps it. What was there already is read again
 * and counts in the digest, so that nothing of it is believed. False when the claim was lost to somebody who took this
 * process for dead. Rejects with `digest-mismatch` or `size-mismatch`, the partial emptied, when it is not what was
 * wanted; with what `fetch` says, the partial as far as it came.
 */
export async function fill(
  place: CachePlace,
  name: string,
  claim: Claim,
  wanted: Wanted,
  call: FillCall,
): Promise<boolean> {
  const fd = fs.openSync(claim.path, O_RDWR | O_NOFOLLOW);
  try {
    if (wanted.wholly) fs.ftruncateSync(fd, 0);
    const part: Part = { fd, kind: diskKind(place.claims) };
    const digest = await fillWhole(part, wanted, call);
    const { size } = fs.fstatSync(fd);
    const { mode } = wanted;
    return await keepContent(place, name, claim.path, { digest, size, mode });
  } finally {
    fs.closeSync(fd);
  }
}

/** Begins again, once, when what is wrong may be what a broken off run left, or going on behind it. */
async function fillWhole(part: Part, wanted: Wanted, call: FillCall): Promise<Digest> {
  for (;;) {
    const { size: came } = fs.fstatSync(part.fd);
    try {
      return await fillFrom(part, wanted, call);
    } catch (error) {
      const isWrong = isMismatch(error) || (error instanceof TransferError && error.code === 'range-ignored');
      if (!isWrong) throw error;
      fs.ftruncateSync(part.fd, 0);
      if (came === 0) throw error;
    }
  }
}

interface Part {
  readonly fd: number;
  readonly kind: ReturnType<typeof diskKind>;
}

async function fillFrom(part: Part, wanted: Wanted, { signal, onBytes }: FillCall): Promise<Digest> {
  const { subject, size } = wanted;
  const doing = `fetch \`${wanted.name}\``;
  const algorithm = 'digest' in subject ? subject.digest.algorithm : 'sha256';
  const hasher = await createHasher([algorithm], size);
  let at = 0;
  const count = (bytes: number) => {
    at += bytes;
    if (size !== undefined && at > size) {
      throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got more`);
    }
    onBytes?.(at);
  };
  try {
    const { size: came } = fs.fstatSync(part.fd);
    for await (const chunk of chunksOf({ ...part, doing }, { start: 0, end: came }, signal)) {
      const wait = hasher.update(chunk);
      if (wait) await wait;
      count(chunk.length);
      giveBack(chunk);
    }
    if (size === undefined || at < size) {
      for await (const chunk of await wanted.fetch(at, signal)) {
        if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
        const wait = hasher.update(chunk);
        await writeAt(part.fd, chunk, at, part.kind);
        if (wait) await wait;
        count(chunk.length);
        giveBack(chunk);
      }
    }
    if (size !== undefined && at !== size) {
      throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got ${at}`);
    }
    const value = (await hasher.digests()).get(algorithm) ?? '';
    if ('digest' in subject && subject.digest.value !== value) {
      throw new TransferError(
        'digest-mismatch',
        `${doing}: expected ${algorithm} ${subject.digest.value}, got ${value}`,
      );
    }
    return { algorithm, value };
  } finally {
    hasher.close();
  }
}
