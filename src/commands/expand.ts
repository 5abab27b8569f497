import type { Endpoints } from '../endpoints.ts';
import { TransferError } from '../errors.ts';
import { formatLocation } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Endpoint, Entry } from '../protocol.ts';
import type { Place } from '../request.ts';
import { below, decodeName, escapes, isEncoded, isStandardStream } from './arguments.ts';
import { createMatcher } from './globs.ts';

export interface ExpandTools {
  readonly endpoints: Endpoints;
  readonly signal: AbortSignal;
}

/**
 * The places that `places` stand for: of a remote one with `*`, `?` or `[` in its path, every name that fits, in the
 * order of the listing; as in a shell, a name that begins with a dot only where the pattern has the dot. A file that
 * really has such a name is meant before any pattern. Local paths are as the shell left them. Rejects with `not-found`
 * when no name fits, and as listing does.
 */
export async function expandPlaces(places: readonly Place[], tools: ExpandTools): Promise<readonly Place[]> {
  const expanded: Place[] = [];
  for (const place of places) {
    if (await isPattern(place, tools)) expanded.push(...(await fitting(place, tools)));
    else expanded.push(place);
  }
  return expanded;
}

/** In a URL a `?` begins the query, so it is a wildcard only where paths are plain. */
function wildcards(place: Place): RegExp {
  return isEncoded(place.location) ? /[*[]/ : /[*?[]/;
}

async function isPattern(place: Place, tools: ExpandTools): Promise<boolean> {
  const { location } = place;
  if (isLocal(location) || isStandardStream(place) || !wildcards(place).test(location.path)) return false;
  const endpoint = await tools.endpoints.open(place);
  return endpoint.list !== undefined && !(await exists(endpoint, location.path, tools.signal));
}

async function exists(endpoint: Endpoint, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await endpoint.stat(path, { signal });
    return true;
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return false;
    throw error;
  }
}

async function fitting(place: Place, tools: ExpandTools): Promise<readonly Place[]> {
  const { location } = place;
  const parts = location.path.split('/');
  const first = parts.findIndex((part) => wildcards(place).test(part));
  const base: Place = { ...place, location: { ...location, path: parts.slice(0, first).join('/') || '/' } };
  const globs = parts.slice(first).filter((part) => part !== '');
  const plain = isEncoded(location) ? globs.map(decodeName) : globs;
  const found: Place[] = [];
  const endpoint = await tools.endpoints.open(place);
  for await (const name of namesBelow(endpoint, base, plain, tools.signal)) found.push(below(base, name));
  if (found.length > 0) return found;
  throw new TransferError('not-found', `\`${formatLocation(location)}\`: no name fits this pattern`);
}

/** Level by level, so that only directories on the way are listed; `**` lists everything below. */
async function* namesBelow(
  endpoint: Endpoint,
  base: Place,
  globs: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<string> {
  const [glob = '', ...rest] = globs;
  const isDeep = glob.includes('**');
  const fits = createMatcher(isDeep ? globs.join('/') : glob);
  for await (const entry of entriesOf(endpoint, base, isDeep, signal)) {
    if (!fits(entry.name) || isHidden(entry.name, isDeep ? globs.join('/') : glob)) continue;
    if (isDeep || rest.length === 0) yield entry.name;
    else if (entry.stat.type === 'directory') {
      const inner = below(base, entry.name);
      for await (const name of namesBelow(endpoint, inner, rest, signal)) yield `${entry.name}/${name}`;
    }
  }
}

async function* entriesOf(
  endpoint: Endpoint,
  { location }: Place,
  recursive: boolean,
  signal: AbortSignal,
): AsyncGenerator<Entry> {
  for await (const entry of endpoint.list?.(location.path, { recursive, signal }) ?? []) {
    if (entry.problem === undefined && escapes(entry.name) === undefined) yield entry;
  }
}

function isHidden(name: string, glob: string): boolean {
  return /(?:^|\/)\./.test(name) && !/(?:^|\/)\\?\./.test(glob);
}
