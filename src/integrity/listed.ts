import { TransferError } from '../errors.ts';
import type { Location } from '../location.ts';
import type { Digest } from '../protocol.ts';
import { quoted } from './manifests/names.ts';

/** What the content of a file must be. */
export interface Expectation {
  readonly expected: readonly Digest[];
  /** Bytes. */
  readonly size: number | undefined;
}

/** What catalogs say of one file, and which of them. */
export interface Listed extends Expectation {
  /** `` `SHA256SUMS`, line 12``: for messages. */
  readonly where: string;
}

/** Finds what is listed of a file that has this logical name or goes to this place. Throws `invalid-request` where catalogs disagree. */
export type FindListed = (lfn: string, destination: Location) => Listed | undefined;

/**
 * What both say of the file `name`. Throws `invalid-request` that names both where they say different things of one
 * algorithm, or of the size.
 */
export function together<T extends Listed>(ours: T, theirs: Listed, name: string): Listed {
  const doing = `checksum of ${quoted(name)}`;
  const fail = (mine: string, other: string) =>
    new TransferError(
      'invalid-request',
      `${doing}: ${ours.where} says ${mine}, ${theirs.where} says ${other}`,
    );
  const expected = [...ours.expected];
  for (const digest of theirs.expected) {
    const same = ours.expected.find(({ algorithm }) => algorithm === digest.algorithm);
    if (!same) expected.push(digest);
    else if (same.value !== digest.value) {
      throw fail(`${same.algorithm} ${same.value}`, `${digest.algorithm} ${digest.value}`);
    }
  }
  if (ours.size !== undefined && theirs.size !== undefined && ours.size !== theirs.size) {
    throw fail(`${ours.size} bytes`, `${theirs.size} bytes`);
  }
  return { expected, size: ours.size ?? theirs.size, where: `${ours.where} and ${theirs.where}` };
}
