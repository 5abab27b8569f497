import { LOCAL_SCHEMES, type Location, siteKey } from '../location.ts';
import type { Attempt } from '../outcome.ts';
import { pythonFixed, pythonPrefixed } from './python-format.ts';

/** Schemes whose services copied between each other, where the original saw no local file to measure. */
const THIRD_PARTY: readonly ReadonlySet<string>[] = [
  new Set(['gsiftp', 'sshftp', 'ftp']),
  new Set(['s3', 's3s']),
  new Set(['gs']),
  new Set(['go']),
  new Set(['symlink']),
];

interface Count {
  attempts: number;
  bytes: number;
}

export interface LegacyStats {
  /** Failed attempts count, too. */
  add(attempt: Attempt): void;
  /** The lines for a run that took `seconds`, waiting included. */
  lines(seconds: number): string[];
}

/** The drop-in's statistics: totals and one line a pair of sites, in the order in which pairs were first seen. */
export function startLegacyStats(): LegacyStats {
  const total: Count = { attempts: 0, bytes: 0 };
  const pairs = new Map<string, Count>();
  let anyThirdParty = false;

  return {
    add(attempt) {
      const bytes = legacyBytes(attempt);
      const name = `${siteKey(attempt.source.site)}->${siteKey(attempt.destination.site)}`;
      let pair = pairs.get(name);
      if (pair === undefined) {
        pair = { attempts: 0, bytes: 0 };
        pairs.set(name, pair);
      }
      pair.attempts++;
      pair.bytes += bytes;
      total.attempts++;
      total.bytes += bytes;
      anyThirdParty ||= isThirdParty(attempt.source, attempt.destination);
    },
    lines(seconds) {
      if (total.attempts === 0) return ['Stats: no local files in the transfer set'];
      if (anyThirdParty) return ['Unable to provide stats for third party gsiftp/srm transfers'];
      const lines = [`Stats: Total ${sentence(total, seconds)}`];
      for (const [name, pair] of pairs) {
        lines.push(`       Between sites ${name} : ${sentence(pair, seconds)}`);
      }
      return lines;
    },
  };
}

/** Bytes as the original counted them: those of a local source even when its copy failed, else those that arrived. */
export function legacyBytes(attempt: Attempt): number {
  return attempt.failure === undefined || LOCAL_SCHEMES.has(attempt.source.scheme) ? attempt.bytes : 0;
}

function isThirdParty(source: Location, destination: Location): boolean {
  return THIRD_PARTY.some((family) => family.has(source.scheme) && family.has(destination.scheme));
}

function sentence({ attempts, bytes }: Count, seconds: number): string {
  const rate = seconds > 0 ? bytes / seconds : 0;
  return (
    `${attempts} transfers, ${pythonPrefixed(bytes)}B transferred in ${pythonFixed(seconds, 0)} seconds. ` +
    `Rate: ${pythonPrefixed(rate)}B/s (${pythonPrefixed(rate * 8)}b/s)`
  );
}
