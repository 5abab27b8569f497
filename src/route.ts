import type { RouteKind } from './outcome.ts';
import type { Endpoint } from './protocol.ts';

export interface Route {
  readonly kind: RouteKind;
  /** Why this one, for `--dry-run` and the debug log. */
  readonly why: string;
}

/** What decides a route besides the two endpoints. */
export interface RouteWants {
  readonly destinationScheme: string;
  /** A digest of the content was asked for. */
  readonly digest: boolean;
  /** File to file pairs become links. */
  readonly symlink: boolean;
  /** Bytes a second are limited, or a fault is to be put in. */
  readonly touchesBytes: boolean;
}

/** Link if asked and possible; else a move or copy by the service that holds both ends; else a stream through us. */
export function chooseRoute(from: Endpoint, to: Endpoint, wants: RouteWants): Route {
  const together = from.service === to.service;
  if (wants.destinationScheme === 'symlink' && to.link) {
    return { kind: 'link', why: 'the destination is a symbolic link' };
  }
  if (wants.symlink && together && to.link)
    return { kind: 'link', why: '--symlink and both ends on this machine' };
  if (wants.destinationScheme === 'moveto' && together && to.move) {
    return { kind: 'move', why: 'the destination takes the file over' };
  }
  if (!together) return { kind: 'stream', why: 'the ends are different services' };
  if (!to.copy) return { kind: 'stream', why: 'the service cannot copy by itself' };
  if (wants.digest) return { kind: 'stream', why: 'a digest was asked for, so the bytes pass through' };
  if (wants.touchesBytes) return { kind: 'stream', why: 'a bandwidth limit was asked for' };
  return { kind: 'copy', why: 'both ends are on the same service, which copies by itself' };
}
