import { each, mapAhead, runsOfBatches } from './ahead.ts';
import { type ChecksumTools, checksumBatches } from './checksum.ts';
import { readThrough } from './digesting.ts';
import { TransferError, toTransferError } from './errors.ts';
import { inBatches } from './integrity/digest-pool.ts';
import { ALGORITHMS } from './integrity/digests.ts';
import { retryUnit } from './layers.ts';
import { formatLocation, pathOf } from './location.ts';
import { isLocal } from './plan.ts';
import type { Algorithm, Digest, Endpoint, RetryUnit } from './protocol.ts';
import type { Place } from './request.ts';

/** A file and what it must be. */
export interface VerifyTask {
  /** As the manifest has it. */
  readonly name: string;
  readonly place: Place;
  /** All of them must hold. At least one. */
  readonly digests: readonly Digest[];
  /** Bytes that it must have. */
  readonly size?: number | undefined;
  /** The URL is not the whole one: what is not found there may still be where it was stored. */
  readonly isNamedInPart?: boolean;
  /** The list that says so, and where in it; for whoever compares lists. */
  readonly list?: string;
  readonly where?: string;
}

export type Verdict = {
  readonly name: string;
} & (
  | {
      readonly status: 'proven';
      /**
       * Who computed the digest that was equal: we, over the bytes we read now, the service that stores them, or who wrote
       * the receipt of a file that is unchanged since.
       */
      readonly by: 'read' | 'service' | 'receipt';
      /** Which receipt. */
      readonly reused?: string | undefined;
      readonly digest: Digest;
      readonly size?: number | undefined;
    }
  | {
      readonly status: 'wrong' | 'missing' | 'unverifiable';
      /** What was expected and what was found. */
      readonly problem: string;
    }
);

export interface VerifyTools extends ChecksumTools {
  /** Read every byte, whatever the service says that it stores. */
  readonly read: boolean;
}

/**
 * Compares files of any protocol with what they must be, in the order of `tasks`. A service's own digest counts where
 * it is of the strongest algorithm asked for; else the bytes are read. Nothing rejects but `canceled`.
 */
export async function* verifyFiles(
  tasks: Iterable<VerifyTask> | AsyncIterable<VerifyTask>,
  tools: VerifyTools,
): AsyncGenerator<Verdict> {
  for await (const some of verifyBatches(inBatches(tasks), tools)) yield* some;
}

/** The same with many at a time, for many small files. */
export async function* verifyBatches(
  batches: AsyncIterable<readonly VerifyTask[]>,
  tools: VerifyTools,
): AsyncGenerator<readonly Verdict[]> {
  const retry = retryUnit(tools.clock, tools.random, tools.signal);
  for await (const run of runsOfBatches(batches, (task) => isLocal(task.place.location))) {
    if (run.kind) {
      yield* verifyLocal(run.batches, tools);
      continue;
    }
    const verdicts = mapAhead(each(run.batches), tools.threads, async (task) => {
      const verdict = await verifyRemote(task, tools, retry);
      return task.isNamedInPart ? unlessProven(verdict) : verdict;
    });
    for await (const verdict of verdicts) yield [verdict];
  }
}

async function* verifyLocal(
  batches: AsyncIterable<readonly VerifyTask[]>,
  tools: VerifyTools,
): AsyncGenerator<readonly Verdict[]> {
  async function* checksums() {
    for await (const tasks of batches) {
      yield tasks.map((task) => ({
        name: task.name,
        place: task.place,
        task,
        algorithms: algorithmsOf(task),
      }));
    }
  }
  for await (const some of checksumBatches(checksums(), tools)) {
    yield some.map(({ task: { task }, result }) =>
      result instanceof TransferError
        ? failed(task, result)
        : judge(task, { by: result.reused === undefined ? 'read' : 'receipt', ...result }),
    );
  }
}

function algorithmsOf({ digests }: VerifyTask): readonly Algorithm[] {
  const [first, second] = digests;
  // Nearly always.
  if (first && !second) return [first.algorithm];
  return [...new Set(digests.map(({ algorithm }) => algorithm))];
}

async function verifyRemote(task: VerifyTask, tools: VerifyTools, retry: RetryUnit): Promise<Verdict> {
  try {
    const endpoint = await tools.open(task.place);
    const told = tools.read ? undefined : await askService(endpoint, task, tools, retry);
    return told ? judge(task, { by: 'service', ...told }) : await readAll(endpoint, task, tools, retry);
  } catch (error) {
    return failed(task, toTransferError(error, `read \`${formatLocation(task.place.location)}\``));
  }
}

/** What the service says of the whole file; undefined when that does not include the strongest digest asked for. */
async function askService(
  endpoint: Endpoint,
  task: VerifyTask,
  { signal }: VerifyTools,
  retry: RetryUnit,
): Promise<{ readonly digests: readonly Digest[]; readonly size?: number | undefined } | undefined> {
  const path = pathOf(task.place.location);
  const wanted = strongest(task.digests);
  const isTold = (digests: readonly Digest[]) =>
    digests.some(({ algorithm, partSize }) => algorithm === wanted.algorithm && partSize === undefined);
  const { digests = [], size } = await retry(() => endpoint.stat(path, { signal }));
  if (isTold(digests)) return { digests, size };
  const asked = await endpoint.digest?.(path, [wanted.algorithm], { signal }).catch(() => []);
  return asked && isTold(asked) ? { digests: asked, size } : undefined;
}

async function readAll(
  endpoint: Endpoint,
  task: VerifyTask,
  { signal, fresh }: VerifyTools,
  retry: RetryUnit,
): Promise<Verdict> {
  const { digests, bytes } = await readThrough(endpoint, pathOf(task.place.location), {
    algorithms: algorithmsOf(task),
    name: formatLocation(task.place.location),
    signal,
    retry,
    ...(fresh === undefined ? {} : { fresh }),
  });
  return judge(task, { by: 'read', digests, size: bytes });
}

function strongest(digests: readonly Digest[]): Digest {
  if (digests.length === 1 && digests[0]) return digests[0];
  const found = ALGORITHMS.flatMap((algorithm) => digests.filter((one) => one.algorithm === algorithm))[0];
  if (!found) throw new TransferError('invalid-request', 'verify: expected a digest, got none');
  return found;
}

const WHO = {
  read: () => 'it has',
  service: () => 'the service stores',
  receipt: (reused?: string) => `unchanged since ${reused} it has`,
};

function judge(
  { name, digests, size }: VerifyTask,
  found: {
    readonly by: 'read' | 'service' | 'receipt';
    readonly reused?: string;
    readonly digests: readonly Digest[];
    readonly size?: number | undefined;
  },
): Verdict {
  if (size !== undefined && found.size !== undefined && size !== found.size) {
    return { name, status: 'wrong', problem: `expected ${size} bytes, it has ${found.size}` };
  }
  for (const { algorithm, value } of digests) {
    const own = found.digests.find(
      (digest) => digest.algorithm === algorithm && digest.partSize === undefined,
    );
    if (own && own.value !== value) {
      const who = WHO[found.by](found.reused);
      return { name, status: 'wrong', problem: `expected ${algorithm} ${value}, ${who} ${own.value}` };
    }
  }
  const { by, reused } = found;
  return { name, status: 'proven', by, digest: strongest(digests), size: found.size, reused };
}

/** Something else under a part of the name says nothing of what is under the whole. */
function unlessProven(verdict: Verdict): Verdict {
  if (verdict.status === 'proven') return verdict;
  const { name, problem } = verdict;
  const why =
    'a query that grants access is not written down (`bridle verify ALG:HEX URL` takes the whole URL)';
  return { name, status: 'unverifiable', problem: `${why}, and without it: ${problem}` };
}

function failed({ name }: VerifyTask, error: TransferError): Verdict {
  if (error.code === 'canceled') throw error;
  if (error.code === 'not-found') return { name, status: 'missing', problem: error.message };
  // The service's digest and its bytes differ: one of them is not what it should be.
  const status = error.code === 'digest-mismatch' ? 'wrong' : 'unverifiable';
  return { name, status, problem: error.message };
}
