import type { Clock } from './clock.ts';
import { TransferError, toTransferError } from './errors.ts';
import { backOffSeconds } from './layers.ts';
import { hostKey } from './location.ts';
import type { Outcome, Status } from './outcome.ts';
import type { Permits } from './permits.ts';
import type { MkdirStep, RemoveStep } from './plan.ts';
import type { Endpoint } from './protocol.ts';
import type { Place } from './request.ts';

/** What steps that move nothing need of a run. */
export interface TargetTools {
  readonly open: (place: Place) => Promise<Endpoint>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly permits: Permits;
  readonly rounds: number;
  readonly onRound: (round: number) => void;
}

/** Makes or removes one directory or file, with the rounds and back-off of transfers. Never rejects. */
export async function runTargetStep(
  step: MkdirStep | RemoveStep,
  tools: TargetTools,
  signal: AbortSignal,
): Promise<Outcome> {
  const began = tools.clock.now();
  const { location } = step.target;
  const doing = step.kind === 'mkdir' ? `make directory \`${location.path}\`` : `remove \`${location.path}\``;
  for (let round = 1; ; round += 1) {
    try {
      await performTarget(step, tools, signal);
      return targetOutcome(step, 'done', tools.clock.now() - began, {});
    } catch (thrown) {
      const error = toTransferError(thrown, doing);
      if (!error.transient || round >= tools.rounds || signal.aborted) {
        const status = signal.aborted ? 'canceled' : error.code === 'unsupported' ? 'unsupported' : 'failed';
        const { code, message, transient, hint } = error;
        const failure = { code, message, transient, ...(hint === undefined ? {} : { hint }) };
        return targetOutcome(step, status, tools.clock.now() - began, { failure });
      }
      const seconds = Math.max(backOffSeconds(round, tools.random), error.retryAfter ?? 0);
      await tools.clock.sleep(seconds * 1000, signal).catch(() => undefined);
    }
  }
}

async function performTarget(
  step: MkdirStep | RemoveStep,
  tools: TargetTools,
  signal: AbortSignal,
): Promise<void> {
  const { location } = step.target;
  const endpoint = await tools.open(step.target);
  const release = await tools.permits.acquire([hostKey(location)], signal);
  try {
    tools.onRound(1);
    if (step.kind === 'mkdir') {
      if (!endpoint.mkdir) throw unable(location.scheme, 'make directories');
      await endpoint.mkdir(location.path, { signal });
    } else {
      if (!endpoint.remove) throw unable(location.scheme, 'remove files');
      await endpoint.remove(location.path, { signal, recursive: step.recursive }).catch((error: unknown) => {
        throw step.recursive ? error : withAdvice(error);
      });
    }
  } finally {
    release();
  }
}

/** What is there already when something is removed is what the directory holds. */
function withAdvice(error: unknown): unknown {
  if (!(error instanceof TransferError) || error.code !== 'already-exists') return error;
  const { message, cause } = error;
  return new TransferError('already-exists', message, {
    cause,
    hint: '`bridle rm -r` removes a directory with everything in it',
  });
}

function unable(scheme: string, what: string): TransferError {
  return new TransferError('unsupported', `\`${scheme}\`: this protocol cannot ${what}`);
}

/** The outcome of a step that has one place and moves nothing. */
export function targetOutcome(
  step: MkdirStep | RemoveStep,
  status: Status,
  milliseconds: number,
  more: Partial<Pick<Outcome, 'failure' | 'notes'>>,
): Outcome {
  const { location } = step.target;
  return {
    index: step.index,
    kind: step.kind,
    status,
    lfn: '',
    linkage: '',
    source: location,
    destination: location,
    route: 'none',
    bytes: 0,
    resumedFrom: 0,
    attempts: [],
    seconds: milliseconds / 1000,
    sourceVerification: { grade: 'none' },
    destinationVerification: { grade: 'none' },
    digests: {},
    notes: [],
    ...more,
  };
}
