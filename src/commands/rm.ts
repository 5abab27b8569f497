import { resolve } from 'node:path';
import { TransferError } from '../errors.ts';
import { formatLocation } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Place, Request } from '../request.ts';
import { expandPlaces } from './expand.ts';
import type { Io } from './io.ts';
import { RM_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { parsePlaces } from './places.ts';
import { quietRun } from './run-defaults.ts';
import { runAndTell } from './running.ts';

/** `bridle rm [-r] PLACE...`. */
export async function rm(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, RM_OPTIONS, { env: io.env });
  const places = parsePlaces(positionals);
  if (values.recursive) for (const place of places) refuseRoot(place);
  return runAndTell({ ...quietRun(values, io.env), removeAnyway: true }, io, async (tools) => {
    const found = await expandPlaces(places, tools);
    async function* requests(kind: Request['kind']): AsyncGenerator<Request> {
      if (kind !== 'remove') return;
      for (const [index, target] of found.entries())
        yield { kind, index, target, recursive: values.recursive };
    }
    return { total: found.length, requests };
  });
}

/** Nobody means the whole of a machine or of a service. */
function refuseRoot({ location }: Place): void {
  const path = isLocal(location) ? resolve(location.path) : location.path.replace(/\/+$/, '') || '/';
  if (path !== '/') return;
  throw new TransferError(
    'invalid-request',
    `\`${formatLocation(location)}\`: expected something below the root`,
  );
}
