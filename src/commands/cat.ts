import type { Place } from '../request.ts';
import { STANDARD_STREAM } from './arguments.ts';
import { copyRequest } from './cp-tree.ts';
import type { Io } from './io.ts';
import { CAT_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { parsePlaces } from './places.ts';
import { quietRun } from './run-defaults.ts';
import { runAndTell } from './running.ts';

/** `bridle cat PLACE...`: as a transfer to standard output, so that what breaks off goes on and what is wrong is told. */
export async function cat(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, CAT_OPTIONS, { env: io.env });
  let status = 0;
  // A run each: the bytes of one file must all have gone before those of the next.
  for (const place of parsePlaces(positionals)) {
    const ended = await runAndTell(quietRun(values, io.env), io, () => ({
      total: 1,
      requests: (kind) => (kind === 'transfer' ? only(place) : none()),
    }));
    if (ended > 1) return ended;
    status ||= ended;
  }
  return status;
}

async function* only(place: Place) {
  yield copyRequest(0, place, STANDARD_STREAM);
}

async function* none() {}
