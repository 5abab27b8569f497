import { createHash } from 'node:crypto';
import { formatLocation, type Location } from './location.ts';
import type { Endpoint } from './protocol.ts';

/** Names partials of one destination: the same for every try, another for every other destination. */
export function partialKey(endpoint: Endpoint, destination: Location): string {
  const name = formatLocation(destination);
  // Two users of one host have files of the same name.
  const owned = endpoint.isLocal ? name : `${endpoint.account ?? endpoint.service} ${name}`;
  return createHash('sha256').update(owned).digest('hex').slice(0, 32);
}
