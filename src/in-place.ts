import { resolve } from 'node:path';
import { digestSourceOf, nothingMoved } from './already.ts';
import type { AttemptCall, AttemptResult, Ends } from './attempt.ts';
import { TransferError } from './errors.ts';
import { compareDigests, digestSource } from './integrity/digests.ts';
import { type Requirement, reaches, requireGrade } from './integrity/policy.ts';
import { formatLocation } from './location.ts';
import type { Verification } from './outcome.ts';
import { partialKey } from './partial-key.ts';
import type { Algorithm, Source, Stat, Stored } from './protocol.ts';

/** How the routes go that no bytes pass through us on. */
export interface InPlaceOptions {
  readonly required: Requirement;
  /** Keeps mode and modification time. */
  readonly preserve: boolean;
}

/** Makes the destination a link to the source. */
export async function link(
  ends: Ends,
  call: AttemptCall,
  { required }: InPlaceOptions,
): Promise<AttemptResult> {
  const target = resolve(ends.source.location.path);
  const path = ends.destination.location.path;
  const verify =
    call.step.verifySymlinkSource ||
    call.expected.length > 0 ||
    call.step.generateChecksum ||
    reaches(required.source, 'size') ||
    reaches(required.destination, 'size');
  const stat = verify ? await requireReadable(ends, call) : undefined;
  const digests = verify ? await digestSourceOf(ends, call, required) : new Map<Algorithm, string>();
  const result = met(nothingMoved(stat, digests, call.expected, []), ends, call, required);
  await ends.to.link?.(target, path, {
    kind: 'symbolic',
    key: partialKey(ends.to, ends.destination.location),
    signal: call.signal,
  });
  return { ...result, route: 'link' };
}

/** Permissions may lie (CVMFS does): only opening tells. A directory may be linked to. */
async function requireReadable(ends: Ends, call: AttemptCall): Promise<Stat> {
  const { path } = ends.source.location;
  const stat = await ends.from.stat(path, { signal: call.signal });
  if (stat.type === 'file') await (await ends.from.read(path, { signal: call.signal })).discard?.();
  if (stat.type === 'directory') await lookInto(ends, path, call.signal);
  return stat;
}

/** Its first name is enough. */
async function lookInto({ from }: Ends, path: string, signal: AbortSignal): Promise<void> {
  for await (const _ of from.list?.(path, { recursive: false, signal }) ?? []) return;
}

/**
 * Gives the source the destination's name. Across file systems the bytes are copied: the copy is read back and compared
 * with the source before it shows and before the source goes.
 */
export async function move(
  ends: Ends,
  call: AttemptCall,
  { required, preserve }: InPlaceOptions,
): Promise<AttemptResult> {
  const { signal, expected } = call;
  const from = ends.source.location.path;
  const to = ends.destination.location.path;
  const stat = await requireReadable(ends, call);
  const digests = await digestSourceOf(ends, call, required);
  let result = met(nothingMoved(stat, digests, expected, []), ends, call, required);
  await ends.to.move?.(from, to, {
    key: partialKey(ends.to, ends.destination.location),
    signal,
    ...(preserve && stat.modified ? { modified: stat.modified } : {}),
    prove: async (readCopy) => {
      const ours =
        digests.size > 0 ? digests : await digestsAt(await ends.from.read(from, { signal }), ['sha256']);
      requireSame(
        `move to \`${to}\``,
        ours,
        await digestSource(await readCopy({ signal }), [...ours.keys()]),
      );
      result = nothingMoved(stat, ours, expected, []);
    },
  });
  call.events.onVisible();
  return { ...result, route: 'move' };
}

async function digestsAt(source: Source, algorithms: readonly Algorithm[]) {
  const found = await digestSource(source, algorithms);
  return new Map(found.map(({ algorithm, value }) => [algorithm, value]));
}

/** The service copies by itself. What it says of both files is all that is known. */
export async function copy(
  ends: Ends,
  call: AttemptCall,
  { required, preserve }: InPlaceOptions,
): Promise<AttemptResult> {
  const { from, to, source, destination } = ends;
  const stat = await from.stat(source.location.path, { signal: call.signal });
  requireSize(ends, call, stat);
  if (stat.size !== undefined) call.events.onSize(stat.size);
  let counted = 0;
  const staged = await to.copy?.(source.location.path, destination.location.path, {
    key: partialKey(ends.to, ends.destination.location),
    signal: call.signal,
    source: source.location,
    progress: (bytes) => {
      call.events.onProgress(bytes - counted);
      counted = bytes;
    },
    modified: preserve ? stat.modified : undefined,
    exactMode: preserve ? stat.mode : undefined,
  });
  try {
    await call.hold?.();
  } catch (error) {
    await staged?.abort();
    throw error;
  }
  const stored = (await staged?.commit(call.signal)) ?? { digests: [] };
  call.events.onVisible();
  const bytes = stored.size ?? stat.size ?? 0;
  call.events.onProgress(bytes - counted);
  try {
    const result: AttemptResult = {
      route: 'copy',
      bytes,
      resumedFrom: 0,
      digests: new Map(),
      ...gradeCopy(`copy to \`${formatLocation(destination.location)}\``, stat, stored),
      notes: [],
      versions: { source: stat.version, destination: stored.version },
    };
    return met(result, ends, call, required);
  } catch (error) {
    await to.remove?.(destination.location.path, { signal: call.signal });
    throw error;
  }
}

function requireSize({ source }: Ends, call: AttemptCall, stat: Stat): void {
  const { size } = call.step;
  if (size === undefined || stat.size === undefined || stat.size === size) return;
  const name = formatLocation(source.location);
  throw new TransferError('size-mismatch', `read \`${name}\`: expected ${size} bytes, it has ${stat.size}`);
}

/** `server` where the service's digest of the copy is that of the original; else what the sizes say. */
function gradeCopy(doing: string, stat: Stat, stored: Stored): Pick<AttemptResult, 'source' | 'destination'> {
  if (stat.size !== undefined && stored.size !== undefined && stat.size !== stored.size) {
    throw new TransferError(
      'size-mismatch',
      `${doing}: the original has ${stat.size} bytes, ${stored.size} are stored`,
    );
  }
  const original = new Map(
    (stat.digests ?? []).flatMap((one) => (one.partSize === undefined ? [[one.algorithm, one.value]] : [])),
  );
  const same = requireSame(doing, original, stored.digests);
  if (same) {
    const proven: Verification = { grade: 'server', ...same, by: 'service' };
    return { source: proven, destination: proven };
  }
  const bySize = (known: boolean): Verification => ({ grade: known ? 'size' : 'none' });
  return { source: bySize(stat.size !== undefined), destination: bySize(stored.size !== undefined) };
}

function requireSame(doing: string, ours: ReadonlyMap<Algorithm, string>, theirs: Stored['digests']) {
  const compared = compareDigests(ours, theirs);
  if (!compared) return undefined;
  const { algorithm, equal } = compared;
  if (equal) return { algorithm, value: compared.ours };
  const text = `${doing}: the original has ${algorithm} ${compared.ours}, the copy ${compared.theirs}`;
  throw new TransferError('digest-mismatch', text);
}

/** The result, when both sides are verified as well as they must be; else throws. */
export function met(
  result: AttemptResult,
  ends: Ends,
  call: AttemptCall,
  required: Requirement,
): AttemptResult {
  const { expected } = call;
  for (const side of ['source', 'destination'] as const) {
    const name = formatLocation(ends[side].location);
    requireGrade(result[side], { side, name, wanted: required[side], expected });
  }
  return result;
}

/** True when both sides are verified as well as they must be. */
export function isMet(result: AttemptResult, required: Requirement): boolean {
  return (
    reaches(result.source.grade, required.source) && reaches(result.destination.grade, required.destination)
  );
}
