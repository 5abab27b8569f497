import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { run } from '../../engine.ts';
import { TransferError } from '../../errors.ts';
import { createGate } from '../../gate.ts';
import { findFormat } from '../../integrity/manifests/formats.ts';
import { isBelowRoot } from '../../integrity/manifests/names.ts';
import { formatLocation, type Location } from '../../location.ts';
import type { Outcome } from '../../outcome.ts';
import type { Place } from '../../request.ts';
import { decodeName, isEncoded } from '../arguments.ts';
import { randomFrom, runOptions } from '../settings.ts';
import type { JobFile } from './spec.ts';
import { hasArrived, type Staged, type Stager, stageOut } from './staging.ts';

export interface Together {
  readonly staged: readonly Staged[];
  /** Why readers will not find a manifest; undefined when it is there. */
  readonly problem: string | undefined;
}

/**
 * Stores all files, and makes none visible before all are stored and compared; then the manifest at `place`, which says
 * that all are there. An old manifest is gone before the first file becomes visible, so that there is one exactly when
 * what it names has arrived. A failure before that leaves what was there, the old manifest included.
 */
export async function stageOutTogether(
  files: readonly JobFile[],
  directory: string,
  place: Place,
  stager: Stager,
): Promise<Together> {
  const gate = createGate(files.length, () => removeOld(place, stager));
  const broken = new AbortController();
  const staged = await stageOut(files, directory, {
    ...stager,
    signal: AbortSignal.any([stager.signal, broken.signal]),
    gate,
    onEnded: (outcome) => {
      if (outcome.status === 'done' || outcome.status === 'skipped') gate.excuse(outcome.index);
      // Once commits have begun, stopping the others would only leave it open what has become visible.
      else if (gate.shut(`\`${outcome.lfn}\` did not arrive`)) broken.abort();
    },
  });
  if (!staged.every(hasArrived)) return { staged, problem: undefined };
  const problem = await writeManifest(staged, directory, place, stager);
  return { staged, problem };
}

async function writeManifest(
  staged: readonly Staged[],
  directory: string,
  place: Place,
  stager: Stager,
): Promise<string | undefined> {
  const folder = mkdtempSync(join(directory, '.bridle-manifest.'));
  try {
    const lfn = relative(directory, join(folder, 'manifest'));
    const text = manifestOf(staged, place.location);
    writeFileSync(join(directory, lfn), text);
    const digest = { algorithm: 'sha256' as const, value: createHash('sha256').update(text).digest('hex') };
    const file = { lfn, places: [place], expected: [digest], isExecutable: false, isCheckpoint: false };
    const [sent] = await stageOut([file], directory, stager);
    if (sent && hasArrived(sent)) return undefined;
    return `the manifest did not arrive: ${sent?.outcome?.failure?.message ?? 'canceled'}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function manifestOf(staged: readonly Staged[], manifest: Location): string {
  const writer = findFormat('json').write?.({});
  if (!writer) throw new TransferError('unexpected', 'writing the manifest: its format cannot be written');
  const entries = staged.map(({ file, outcome }) => {
    const to = outcome?.destination ?? (file.places[0] as Place).location;
    const size = outcome?.bytes ?? 0;
    return writer.entry({ name: nameFrom(manifest, to), size, digests: file.expected });
  });
  return writer.begin() + entries.join('') + writer.end();
}

/** What a reader of the manifest finds a file by: relative, if it is beside the manifest or below. */
function nameFrom(manifest: Location, file: Location): string {
  const isNear = manifest.scheme === file.scheme && manifest.authority === file.authority;
  if (!isNear || manifest.query !== undefined || file.query !== undefined) return wholeName(file);
  const beside = relative(resolve(manifest.path, '..'), file.path);
  if (beside === '' || !isBelowRoot(beside)) return wholeName(file);
  return isEncoded(file) ? beside.split('/').map(decodeName).join('/') : beside;
}

const wholeName = (file: Location): string =>
  file.scheme === 'file' && file.authority === '' ? file.path : formatLocation(file);

/** Absent is well. */
async function removeOld(place: Place, { values, io, endpoints, signal }: Stager): Promise<void> {
  let outcome: Outcome | undefined;
  const input = {
    total: 1,
    async *requests(kind: string) {
      if (kind === 'remove') yield { kind: 'remove' as const, index: 0, target: place, recursive: false };
    },
  };
  await run(
    input,
    runOptions(values, io.env),
    {
      open: endpoints.open,
      random: randomFrom(io.env),
      emit: (event) => {
        if (event.type === 'item-ended') outcome = event.outcome;
      },
    },
    signal,
  );
  if (outcome?.status === 'done') return;
  if (outcome?.status === 'unsupported' && !(await isThere(place, endpoints, signal))) return;
  throw new TransferError(
    'canceled',
    `the old manifest cannot be removed: ${outcome?.failure?.message ?? 'canceled'}`,
  );
}

async function isThere(place: Place, { open }: Stager['endpoints'], signal: AbortSignal): Promise<boolean> {
  try {
    const endpoint = await open(place);
    await endpoint.stat(place.location.path, { signal });
    return true;
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return false;
    throw error;
  }
}
