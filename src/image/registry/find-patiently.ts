import { type Clock, systemClock } from '../../clock.ts';
import { isMismatch, TransferError } from '../../errors.ts';
import { backOffSeconds } from '../../layers.ts';
import type { Platform } from '../image.ts';
import type { Reference } from '../reference.ts';
import { type Found, findImage, type RegistryTools } from './resolve.ts';

/** Seconds that somebody who watches is made to wait because a registry says so; what takes longer is told instead. */
const MOST_WAIT = 120;

const MOST_TRIES = 4;

export interface PatientCall {
  readonly platform?: Platform | undefined;
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

/**
 * As `findImage`, tried a few times where what failed may pass, for callers that have no attempts of their own. A wait that
 * the registry asks for is kept up to {@link MOST_WAIT} and told by `warn`; a longer one is the error, at once.
 */
export function findPatiently(reference: Reference, tools: RegistryTools, call: PatientCall): Promise<Found> {
  return patiently(tools.warn, call, () => findImage(reference, tools, call));
}

/** The same of anything else that is looked for at a service. */
export async function patiently<T>(
  warn: RegistryTools['warn'],
  call: Omit<PatientCall, 'platform'>,
  find: () => Promise<T>,
): Promise<T> {
  const { signal, clock = systemClock, random = Math.random } = call;
  for (let tries = 1; ; tries += 1) {
    try {
      return await find();
    } catch (error) {
      const mayPass = error instanceof TransferError && error.transient && !isMismatch(error);
      if (!mayPass || tries === MOST_TRIES || signal.aborted) throw error;
      const { retryAfter = 0 } = error;
      if (retryAfter > MOST_WAIT) throw error;
      const wait = Math.max(backOffSeconds(tries, random), retryAfter);
      if (retryAfter > 0) {
        warn(`wait ${tries}`, `${error.message}: trying again in ${Math.ceil(wait)} s`);
      }
      await clock.sleep(wait * 1000, signal);
    }
  }
}
