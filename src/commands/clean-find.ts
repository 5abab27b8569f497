import { basename } from 'node:path';
import { TransferError } from '../errors.ts';
import { nonceLives } from '../local/writer.ts';
import { formatLocation, type Location, parseUrl, pathOf } from '../location.ts';
import { partialKey } from '../partial-key.ts';
import { nonceOf } from '../partial-name.ts';
import type { Endpoint, Leftover } from '../protocol.ts';
import { createRemoteJournals, listRemoteJournals, type RemoteLeftover } from '../remote-journals.ts';
import type { Place } from '../request.ts';
import { isEncoded } from './arguments.ts';
import type { Visit } from './places.ts';

/** What `clean` was told. */
export interface CleanRules {
  /** Milliseconds. */
  readonly olderThan: number;
  readonly anyOwner: boolean;
  /** Where it is written down what lies unfinished on services. */
  readonly state: string;
}

/** One thing that was left behind, and what is to become of it. */
export interface Finding {
  readonly kind: Leftover['kind'];
  /** A URL, without secrets. */
  readonly where: string;
  readonly size: number | undefined;
  /** Milliseconds. */
  readonly age: number | undefined;
  /** Why it stays; undefined when it is to go. */
  readonly kept: Reason | undefined;
  /** Removes it. Resolves with why that was left undone, when somebody else has it now. */
  remove(): Promise<Reason | undefined>;
}

export type Reason = 'in use' | 'too young' | 'perhaps of others' | 'put aside' | 'taken up';

/** Everything left behind at `place` and below it, each judged. Changes nothing. */
export async function* findAt(
  place: Place,
  visit: Visit,
  rules: CleanRules,
  onProblem: (problem: TransferError) => void,
): AsyncGenerator<Finding> {
  const endpoint = await visit.endpoints.open(place);
  const { location } = place;
  const { signal } = visit;
  const notes = endpoint.isLocal
    ? []
    : listRemoteJournals(rules.state).filter(({ destination }) => isBelow(destination, location));
  const told = new Set<string>();
  const call = { signal, key: partialKey(endpoint, location), onProblem };
  try {
    for await (const leftover of endpoint.leftovers?.(location.path, call) ?? []) {
      const note = noteOf(leftover, rules.state);
      if (note) told.add(note.stem);
      yield {
        kind: leftover.kind,
        where: formatLocation({ ...location, path: leftover.path }),
        size: leftover.size,
        age: ageOf(leftover, note),
        kept: judge(leftover, note, rules),
        remove: () => removeFound(leftover, note, { signal, state: rules.state }),
      };
    }
  } catch (error) {
    // An upload may be written down whose directory was never made, or is gone.
    if (notes.length === 0 || !(error instanceof TransferError && error.code === 'not-found')) throw error;
  }
  for (const note of notes) {
    if (told.has(note.stem)) continue;
    const age = Math.max(0, Date.now() - note.touched);
    yield {
      kind: 'upload',
      where: note.destination ?? '',
      size: note.sent,
      age,
      kept: note.isInUse ? 'in use' : age < rules.olderThan ? 'too young' : undefined,
      remove: () => removeNoted(endpoint, note, { signal, state: rules.state }),
    };
  }
}

/** The note of this leftover. Read anew for each: a run may have begun meanwhile. */
function noteOf({ isNamedBy }: Leftover, state: string): RemoteLeftover | undefined {
  if (!isNamedBy) return undefined;
  return listRemoteJournals(state).find((note) => {
    const handle = note.handle();
    return handle !== undefined && isNamedBy(handle);
  });
}

/** A sign of life at either end counts. */
function ageOf({ age }: Leftover, note: RemoteLeftover | undefined): number | undefined {
  const noted = note && Math.max(0, Date.now() - note.touched);
  if (age === undefined || noted === undefined) return age ?? noted;
  return Math.min(age, noted);
}

function judge(leftover: Leftover, note: RemoteLeftover | undefined, rules: CleanRules): Reason | undefined {
  if (leftover.kind === 'aside') return 'put aside';
  const nonce = nonceOf(basename(leftover.path));
  if (leftover.isInUse || note?.isInUse || (nonce !== undefined && nonceLives(nonce))) return 'in use';
  // What has no age that anybody tells is as young as can be.
  if ((ageOf(leftover, note) ?? 0) < rules.olderThan) return 'too young';
  if (leftover.kind === 'upload' && !note && !rules.anyOwner) return 'perhaps of others';
  return undefined;
}

interface Removal {
  readonly signal: AbortSignal;
  readonly state: string;
}

/** With its note, which is held meanwhile so that no run goes on with what is about to go. */
async function removeFound(
  leftover: Leftover,
  note: RemoteLeftover | undefined,
  { signal, state }: Removal,
): Promise<Reason | undefined> {
  if (!note) {
    await leftover.remove({ signal });
    return undefined;
  }
  const held = createRemoteJournals(state, () => undefined).claimOne(note);
  if (!held) return 'taken up';
  try {
    await leftover.remove({ signal });
  } catch (error) {
    held.leave();
    throw error;
  }
  held.remove();
  return undefined;
}

/** After these nothing is known of what lies there. */
const UNDECIDED: ReadonlySet<string> = new Set(['unauthenticated', 'permission-denied', 'canceled']);

/** What only its note tells of. A note of what the service does not know any more goes, too. */
async function removeNoted(
  endpoint: Endpoint,
  note: RemoteLeftover,
  { signal, state }: Removal,
): Promise<Reason | undefined> {
  const held = createRemoteJournals(state, () => undefined).claimOne(note);
  if (!held) return 'taken up';
  try {
    const path = pathOf(parseUrl(note.destination ?? '').location);
    const partial = await endpoint.partial?.(path, { key: note.key, handle: held.handle(), signal });
    await partial?.release(false);
  } catch (error) {
    const isPointless = error instanceof TransferError && !error.transient && !UNDECIDED.has(error.code);
    if (!isPointless) {
      held.leave();
      throw error;
    }
  }
  held.remove();
  return undefined;
}

/** Schemes of one and the same service. */
const FAMILIES: readonly (readonly string[])[] = [
  ['sftp', 'scp'],
  ['s3', 's3s'],
];

/** True when a note's destination is the place or lies below it. */
function isBelow(destination: string | undefined, place: Location): boolean {
  if (destination === undefined) return false;
  let noted: Location;
  try {
    noted = parseUrl(destination).location;
  } catch {
    return false;
  }
  const isSameService =
    noted.authority === place.authority &&
    (noted.scheme === place.scheme ||
      FAMILIES.some((family) => family.includes(noted.scheme) && family.includes(place.scheme)));
  if (!isSameService) return false;
  const [path, root] = [plain(noted), plain(place)];
  return root === '' || path === root || path.startsWith(`${root}/`);
}

/** For comparing: decoded, without slashes at the end. */
function plain(location: Location): string {
  const path = location.path.replace(/\/+$/, '');
  if (!isEncoded(location)) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
