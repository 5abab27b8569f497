import { join } from 'node:path';
import type { Cache } from '../../cache/cache.ts';
import type { Endpoints } from '../../endpoints.ts';
import { type RunTools, run } from '../../engine.ts';
import type { Gate } from '../../gate.ts';
import { localLocation } from '../../location.ts';
import type { Emit, Outcome } from '../../outcome.ts';
import type { Place, TransferRequest } from '../../request.ts';
import { gather } from '../audience.ts';
import type { Io } from '../io.ts';
import { type RunValues, randomFrom, runOptions } from '../settings.ts';
import type { JobFile } from './spec.ts';

/** A file and what became of its transfer. */
export interface Staged {
  readonly file: JobFile;
  readonly outcome: Outcome | undefined;
}

export interface Stager {
  readonly values: RunValues;
  readonly io: Io;
  readonly endpoints: Endpoints;
  readonly cache: Cache | undefined;
  readonly findListed?: RunTools['findListed'];
  readonly signal: AbortSignal;
  readonly gate?: Gate;
  /** Told of each file. */
  readonly onEnded?: (outcome: Outcome) => void;
}

/** True for what arrived. */
export const hasArrived = ({ outcome }: Staged): boolean =>
  outcome?.status === 'done' || outcome?.status === 'skipped';

/** Brings inputs into the work directory, several at a time. One that fails stops no other. */
export function stageIn(files: readonly JobFile[], directory: string, stager: Stager): Promise<Staged[]> {
  return stage(files, stager, ({ lfn, places }) => ({
    sources: places,
    destinations: [inside(directory, lfn)],
  }));
}

/** Brings outputs from the work directory to where they shall be. */
export function stageOut(files: readonly JobFile[], directory: string, stager: Stager): Promise<Staged[]> {
  return stage(files, stager, ({ lfn, places }) => ({
    sources: [inside(directory, lfn)],
    destinations: places,
  }));
}

const inside = (directory: string, lfn: string): Place => ({ location: localLocation(join(directory, lfn)) });

type Ends = Pick<TransferRequest, 'sources' | 'destinations'>;

async function stage(
  files: readonly JobFile[],
  { values, io, endpoints, cache, findListed, signal, gate, onEnded }: Stager,
  endsOf: (file: JobFile) => Ends,
): Promise<Staged[]> {
  if (files.length === 0) return [];
  const requests = files.map((file, index) => toRequest(file, index, endsOf(file)));
  const outcomes: Outcome[] = [];
  const audience = await gather({ quiet: values.quiet, debug: values.debug }, io);
  const emit: Emit = (event) => {
    if (event.type === 'item-ended') {
      outcomes[event.outcome.index] = event.outcome;
      onEnded?.(event.outcome);
    }
    audience.emit(event);
  };
  const input = {
    total: requests.length,
    async *requests(kind: string) {
      if (kind === 'transfer') yield* requests;
    },
  };
  const tools = {
    open: endpoints.open,
    emit,
    random: randomFrom(io.env),
    cache,
    ...(findListed ? { findListed } : {}),
    ...(gate ? { gate } : {}),
  };
  try {
    await run(input, runOptions(values, io.env), tools, signal);
  } finally {
    await audience.close();
  }
  return files.map((file, index) => ({ file, outcome: outcomes[index] }));
}

function toRequest(file: JobFile, index: number, { sources, destinations }: Ends): TransferRequest {
  return {
    kind: 'transfer',
    index,
    lfn: file.lfn,
    linkage: 'unknown',
    sources: inOrder(sources),
    destinations: inOrder(destinations),
    generateChecksum: false,
    verifyRemote: false,
    verifySymlinkSource: true,
    expected: file.expected,
    ...(file.size === undefined ? {} : { size: file.size }),
  };
}

/** Among equals the engine would draw the order. */
const inOrder = (places: readonly Place[]): Place[] =>
  places.map((place, at) => ({ ...place, priority: places.length - at }));
