import type { Algorithm } from '../protocol.ts';

/** Seconds that each takes for a gigabyte, about: what threads are loaded by. */
const COST: Readonly<Record<Algorithm, number>> = {
  sha512: 1.15,
  sha256: 0.5,
  blake3: 1.15,
  sha1: 0.45,
  md5: 1.2,
  xxh3: 0.12,
  crc32: 0.15,
  crc32c: 0.4,
  crc64nvme: 0.55,
  adler32: 0.3,
};

/** The algorithms in at most `groups` groups of about equal cost; fewer where more would take no less time. */
export function splitByCost(
  algorithms: readonly Algorithm[],
  groups: number,
): readonly (readonly Algorithm[])[] {
  const most = Math.min(groups, algorithms.length);
  const split = Array.from({ length: Math.max(1, most) }, () => ({ members: [] as Algorithm[], cost: 0 }));
  // The dearest first, each to the group that has least: close to the best, and the same every time.
  for (const algorithm of [...algorithms].sort((a, b) => COST[b] - COST[a])) {
    const least = split.reduce((best, one) => (one.cost < best.cost ? one : best));
    least.members.push(algorithm);
    least.cost += COST[algorithm];
  }
  return split.map(({ members }) => members);
}
