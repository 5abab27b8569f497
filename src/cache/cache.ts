import fs from 'node:fs';
import type { Clock } from '../clock.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { freeBytes } from '../local/disk.ts';
import { type Claim, dropClaim, holderOf, leaveClaim, ownClaim, takeClaim } from './claim.ts';
import { type Content, dropContent, findContent, sealContent } from './content.ts';
import { type CacheBounds, type Evicted, evict, makeRoom } from './evict.ts';
import { type FillCall, fill, type Wanted } from './fill.ts';
import { type CachePlace, nameOf, openPlace } from './place.ts';

/** How content came to be there: it was, this process fetched it, or waited for one that did. */
export type CameBy = 'cache' | 'fetch' | 'wait';

export interface Obtained extends Content {
  readonly by: CameBy;
  /** Call once. */
  close(): void;
}

/** Content by its digest, fetched once for all processes of this user on this machine. */
export interface Cache {
  readonly directory: string;
  /**
   * The content wanted: what is kept, else what another process fetches just now, else fetched by this one, which goes
   * on with what a dead one left. Rejects with what `fetch` says; then whoever waits tries for himself.
   */
  obtain(wanted: Wanted, call: FillCall): Promise<Obtained>;
  /** What is kept of the subject; undefined when it would have to be fetched. */
  find(subject: Wanted['subject']): Obtained | undefined;
  /** Notes that what was obtained was compared with its digest at `proven`, milliseconds since 1970. */
  seal(subject: Wanted['subject'], obtained: Obtained, proven: number): void;
  /** Removes what turned out to be wrong; absent is success. */
  drop(subject: Wanted['subject']): void;
  /** Removes what is more, or older, than `bounds` say; those of the cache without any. */
  prune(bounds?: Partial<CacheBounds>): Evicted;
  /** Keeps to the bounds what has been added since it was opened. */
  close(): void;
}

export interface CacheOptions {
  readonly directory: string;
  readonly bounds: CacheBounds;
  readonly clock: Clock;
  /** Milliseconds without a byte from the process that is waited for, after which this one fetches for itself, too. */
  readonly patience: number;
}

/** Between two looks at how far another process is: the first is short, for small files. */
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 500;

/** Opens the cache, made when absent. Rejects as `openPlace` does. */
export function openCache(options: CacheOptions): Cache {
  const place = openPlace(options.directory);
  const { bounds, clock } = options;
  let added = 0;
  return {
    directory: options.directory,
    async obtain(wanted, call) {
      try {
        const obtained = await obtain(place, wanted, call, options);
        if (obtained.by === 'fetch') added += 1;
        return obtained;
      } catch (error) {
        throw toTransferError(error, `keep \`${wanted.name}\` in the cache \`${options.directory}\``);
      }
    },
    find(subject) {
      const content = findContent(place, nameOf(subject));
      return content && handed(content, 'cache');
    },
    seal: (subject, obtained, proven) => sealContent(place, nameOf(subject), obtained, proven),
    drop: (subject) => dropContent(place, nameOf(subject)),
    prune: (asked) => evict(place, { ...bounds, ...asked }, clock.epoch()),
    close() {
      if (added > 0) evict(place, bounds, clock.epoch());
      added = 0;
    },
  };
}

async function obtain(
  place: CachePlace,
  wanted: Wanted,
  call: FillCall,
  { clock, patience }: CacheOptions,
): Promise<Obtained> {
  const name = nameOf(wanted.subject);
  const watch = watchOf(clock, wanted.patience ?? patience);
  let by: CameBy = 'cache';
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 1.5, LAST_LOOK_MS)) {
    if (call.signal.aborted) throw new TransferError('canceled', `fetch \`${wanted.name}\`: canceled`);
    const content = findContent(place, name);
    if (content) return handed(content, by);
    if (await fetchIfFree(place, name, wanted, call)) {
      by = 'fetch';
      continue;
    }
    by = 'wait';
    const came = holderOf(place, name)?.size ?? 0;
    if (watch.isStuck(came)) {
      await fetchFor(place, name, ownClaim(place), wanted, call);
      by = 'fetch';
      continue;
    }
    call.onBytes?.(came);
    await clock.sleep(pause, call.signal);
  }
}

/** False when somebody else has the claim, or took it away. */
async function fetchIfFree(
  place: CachePlace,
  name: string,
  wanted: Wanted,
  call: FillCall,
): Promise<boolean> {
  const claim = takeClaim(place, name);
  if (!claim) return false;
  // Between the look and the claim, its last holder may have finished.
  const content = findContent(place, name);
  if (!content) return fetchFor(place, name, claim, wanted, call);
  fs.closeSync(content.fd);
  dropClaim(claim);
  return true;
}

async function fetchFor(
  place: CachePlace,
  name: string,
  claim: Claim,
  wanted: Wanted,
  call: FillCall,
): Promise<boolean> {
  let isKept = false;
  try {
    requireRoom(place, wanted);
    isKept = await fill(place, name, claim, wanted, call);
    return isKept;
  } finally {
    if (isKept) dropClaim(claim);
    else leaveClaim(place, claim);
  }
}

function requireRoom(place: CachePlace, { size, name }: Wanted): void {
  if (size === undefined) return;
  makeRoom(place, size);
  const free = freeBytes(place.directory);
  if (free === undefined || free >= size) return;
  throw new TransferError(
    'no-space',
    `fetch \`${name}\`: needs ${size} bytes, ${free} are free in the cache \`${place.directory}\``,
  );
}

function handed(content: Content, by: CameBy): Obtained {
  return { ...content, by, close: () => fs.closeSync(content.fd) };
}

/** Tells when a count has not changed for `patience` milliseconds. */
function watchOf(clock: Clock, patience: number) {
  let last = -1;
  let since = clock.now();
  return {
    isStuck(count: number): boolean {
      const now = clock.now();
      if (count !== last) {
        last = count;
        since = now;
      }
      return now - since > patience;
    },
  };
}
