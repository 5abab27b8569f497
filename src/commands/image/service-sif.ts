import { resolve } from 'node:path';
import type { Cache } from '../../cache/cache.ts';
import { systemClock } from '../../clock.ts';
import { type ReadThrough, readThrough } from '../../digesting.ts';
import type { Endpoints } from '../../endpoints.ts';
import { patiently } from '../../image/registry/find-patiently.ts';
import { keepCachedFile } from '../../image/sif-service/keep-cached.ts';
import { retryUnit } from '../../layers.ts';
import { formatLocation, localLocation, parseUrl } from '../../location.ts';
import type { Algorithm, Digest, Endpoint, ServiceFact } from '../../protocol.ts';
import type { Environment, Place } from '../../request.ts';
import { openCacheOf } from '../open-cache.ts';
import { openSession, type ServiceValues } from '../session.ts';
import type { RunValues } from '../settings.ts';
import { warnOnce } from '../warn-once.ts';
import { moveBy, requireArrived } from './moved.ts';

/** The place of a SIF file at a service that an argument names; undefined for any other. Throws `invalid-request`. */
export function serviceSif(text: string): Place | undefined {
  return /^(?:oras|library|shub):\/\//i.test(text) ? parseUrl(text) : undefined;
}

/** How services are asked for SIF files by one command. */
export interface SifCall {
  readonly values: ServiceValues & Pick<RunValues, 'cache' | 'cacheSize' | 'cacheAge' | 'state'>;
  /** With what options say of registries and platforms. */
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** Told as bytes come; fewer than none where an attempt starts over. */
  readonly onBytes?: (bytes: number, total: number | undefined) => void;
}

/** A SIF file at a service, found. */
export interface NamedSif {
  /** As it was asked for, without a login. */
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly size: number | undefined;
  /** Of the whole file, where the service tells one. */
  readonly digest: Digest | undefined;
  /** What is known of it, by what that is called: `name` is a name of exactly this file. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Finds the file, as patiently as images are looked for, and uses it. Rejects as the service refuses. */
export async function withSif<T>(
  place: Place,
  call: SifCall,
  use: (sif: NamedSif, endpoints: Endpoints) => Promise<T>,
): Promise<T> {
  const { values, env, signal, say } = call;
  const warn = warnOnce(say);
  const endpoints = openSession(values, { env, connections: 1, warn });
  try {
    const endpoint = await endpoints.open(place);
    const { path } = place.location;
    const { size, digests } = await patiently(warn, { signal }, () => endpoint.stat(path, { signal }));
    const told = (await endpoint.describe?.(path, { signal })) ?? [];
    const name = formatLocation(place.location);
    return await use({ name, endpoint, size, digest: digests?.[0], facts: byLabel(told) }, endpoints);
  } finally {
    await endpoints.close();
  }
}

function byLabel(facts: readonly ServiceFact[]): Readonly<Record<string, string>> {
  return Object.fromEntries(facts.flatMap(({ label, text }) => (text === undefined ? [] : [[label, text]])));
}

/** What became of a file that was fetched. */
export interface FetchedSif {
  readonly sif: NamedSif;
  readonly bytes: number;
  /** Bytes of it that an earlier run had left. */
  readonly resumedFrom: number;
}

/**
 * Keeps the file of a service at `path`, as any transfer does: it goes on behind what a killed run left, and is compared
 * with the service's digest before it is seen. With a cache, what has a sha256 comes by way of it. Rejects with why it is
 * not there.
 */
export function fetchSif(place: Place, path: string, call: SifCall): Promise<FetchedSif> {
  return withSif(place, call, async (sif, endpoints) => {
    const cache = await openCacheOf(call.values);
    const to = { ...call, path: resolve(path) };
    try {
      const cached = cache && (await throughCache(sif, place, { ...to, cache }));
      return cached ?? (await transfer(sif, place, { ...to, endpoints }));
    } finally {
      cache?.close();
    }
  });
}

async function throughCache(
  sif: NamedSif,
  place: Place,
  { path, cache, signal, onBytes }: SifCall & { readonly path: string; readonly cache: Cache },
): Promise<FetchedSif | undefined> {
  const { name, digest, size, endpoint } = sif;
  // Another content of the same md5 can be made.
  if (digest?.algorithm !== 'sha256') return undefined;
  const fetch = async (start: number, until: AbortSignal) => {
    const source = await endpoint.read(place.location.path, { signal: until, range: { start } });
    return source.bytes;
  };
  const told = { signal, onBytes: (bytes: number) => onBytes?.(bytes, size) };
  const bytes = await keepCachedFile({ name, digest, size, fetch }, path, told, cache);
  return { sif, bytes, resumedFrom: 0 };
}

async function transfer(
  sif: NamedSif,
  place: Place,
  call: SifCall & { readonly path: string; readonly endpoints: Endpoints },
): Promise<FetchedSif> {
  const { path, endpoints, values } = call;
  const expected = sif.digest ? [sif.digest] : [];
  const outcome = await moveBy(
    { open: endpoints.open },
    place,
    { location: localLocation(path) },
    {
      ...call,
      // What has a digest that names it came by way of the cache.
      values: { ...values, cache: undefined, threads: 1 },
      expected,
    },
  );
  const { bytes, resumedFrom } = requireArrived(outcome, `pull \`${sif.name}\``);
  return { sif, bytes, resumedFrom };
}

/** The sha256 of all of the file, which is compared with the service's own digest. */
export async function readSif(sif: NamedSif, path: string, signal: AbortSignal): Promise<ReadThrough> {
  const algorithms = new Set<Algorithm>(['sha256', ...(sif.digest ? [sif.digest.algorithm] : [])]);
  return readThrough(sif.endpoint, path, {
    algorithms: [...algorithms],
    name: sif.name,
    signal,
    retry: retryUnit(systemClock, Math.random, signal),
  });
}
