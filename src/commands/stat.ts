import { formatLocation, pathOf } from '../location.ts';
import { safeText } from '../report/format.ts';
import type { Io } from './io.ts';
import { STAT_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { forEachPlace, parsePlaces } from './places.ts';
import { statJson } from './stat-json.ts';

/** `bridle stat PLACE...`: what the service says of a file, a line each; nothing is read of it. */
export async function stat(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, STAT_OPTIONS, { env: io.env });
  return forEachPlace('stat', parsePlaces(positionals), values, io, async (place, { endpoints, signal }) => {
    const { location } = place;
    const endpoint = await endpoints.open(place);
    const path = pathOf(location);
    const facts = statJson(await endpoint.stat(path, { signal }));
    const name = formatLocation(location);
    if (values.json) io.out(`${JSON.stringify({ name, ...facts })}\n`);
    else {
      const rows = Object.entries(facts).filter(([, fact]) => fact !== undefined);
      io.out(
        `${safeText(name)}\n${rows.map(([key, fact]) => `  ${key.padEnd(9)} ${shown(fact)}\n`).join('')}`,
      );
    }
    return true;
  });
}

function shown(fact: unknown): string {
  if (typeof fact !== 'object' || fact === null) return safeText(String(fact));
  const pairs = Object.entries(fact).map(([key, value]) => `${key} ${value}`);
  return safeText(pairs.join(', '));
}
