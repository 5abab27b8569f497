import type { Stat } from '../protocol.ts';

/** A stat as JSON: `type`, and where known `size`, `modified` (ISO 8601), `mode` (octal), `version`, `digests`. */
export function statJson(stat: Stat): Readonly<Record<string, unknown>> {
  return {
    type: stat.type,
    size: stat.size,
    modified: stat.modified?.toISOString(),
    mode: stat.mode?.toString(8),
    version: stat.version,
    digests: stat.digests?.length
      ? Object.fromEntries(stat.digests.map(({ algorithm, value }) => [algorithm, value]))
      : undefined,
  };
}
