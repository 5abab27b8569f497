import type { Endpoints } from '../endpoints.ts';
import { TransferError, toTransferError } from '../errors.ts';
import type { Place } from '../request.ts';
import { parseArgument } from './arguments.ts';
import { expandPlaces } from './expand.ts';
import { describeFailure } from './failures.ts';
import type { Io } from './io.ts';
import { openSession, type ServiceValues } from './session.ts';
import { statusOf, watchSignals } from './signals.ts';
import { warnOnce } from './warn-once.ts';

/** The places that the arguments of a command name: at least one. */
export function parsePlaces(positionals: readonly string[]): readonly Place[] {
  if (positionals.length === 0)
    throw new TransferError('invalid-request', 'expected a path or URL, got nothing');
  return positionals.map((text) => parseArgument(text));
}

export interface Visit {
  readonly endpoints: Endpoints;
  readonly signal: AbortSignal;
}

/** Does `work` for each place in turn, and for each that a pattern stands for. One that fails is told and stops no other; exit status 1 then. */
export async function forEachPlace(
  command: string,
  places: readonly Place[],
  values: ServiceValues & { readonly debug: boolean },
  io: Io,
  work: (place: Place, visit: Visit) => Promise<boolean>,
): Promise<number> {
  const endpoints = openSession(values, {
    env: io.env,
    connections: 1,
    warn: warnOnce((line) => io.err(`${line}\n`)),
  });
  const watch = watchSignals();
  const visit: Visit = { endpoints, signal: watch.signal };
  let status = 0;
  const telling = async (task: () => Promise<void>): Promise<void> => {
    if (watch.received() !== undefined) return;
    try {
      await task();
    } catch (error) {
      if (watch.received() !== undefined) return;
      const known = toTransferError(error, command);
      // What printing met is of no place; the caller knows what a reader that has gone means.
      if (known !== error) throw error;
      io.err(describeFailure(command, known, values.debug));
      status = 1;
    }
  };
  try {
    for (const place of places) {
      await telling(async () => {
        for (const found of await expandPlaces([place], visit)) {
          await telling(async () => {
            if (!(await work(found, visit))) status = 1;
          });
        }
      });
    }
    const signal = watch.received();
    return signal === undefined ? status : statusOf(signal);
  } finally {
    watch.stop();
    await endpoints.close();
  }
}
