import type { TransferError } from '../errors.ts';
import type { Outcome } from '../outcome.ts';
import type { Place } from '../request.ts';

/** The outcome of an item that never became a request: told, counted and reported as any other failure. */
export function refusal(index: number, source: Place, destination: Place, error: TransferError): Outcome {
  const { code, message, transient, hint } = error;
  return {
    index,
    kind: 'transfer',
    status: code === 'unsupported' ? 'unsupported' : 'failed',
    lfn: '',
    linkage: '',
    source: source.location,
    destination: destination.location,
    route: 'none',
    bytes: 0,
    resumedFrom: 0,
    attempts: [],
    seconds: 0,
    sourceVerification: { grade: 'none' },
    destinationVerification: { grade: 'none' },
    digests: {},
    failure: { code, message, transient, ...(hint === undefined ? {} : { hint }) },
    notes: [],
  };
}
