import type { Algorithm, Digest } from '../../protocol.ts';
import type { BlockDigests } from '../block-digests.ts';

/** Names of the formats that digests are written down in. */
export type FormatName =
  | 'sums'
  | 'bsd'
  | 'meta'
  | 'catalog-yaml'
  | 'catalog-text'
  | 'bagit'
  | 'json'
  | 'metalink'
  | 'ro-crate'
  | 'registry';

/** What is known of one file. */
export interface ManifestEntry {
  /**
   * Unescaped, and else as written: a path relative to the manifest's root, an absolute one, a URL or a logical file
   * name. Never empty, without NUL. Whether it leaves the root is the reader's to ask (`isBelowRoot`).
   */
  readonly name: string;
  /** At least one, of the whole content. */
  readonly digests: readonly Digest[];
  /** Bytes. */
  readonly size?: number;
  /** Where the same content lies, best first: the physical names of a replica catalog, the URLs of a Metalink. */
  readonly places?: readonly string[];
  /** Of the blocks of the file, for formats that have room for them; only together with `size`. */
  readonly blocks?: BlockDigests;
  /** `line 12`, `files[3]`: for messages. */
  readonly where: string;
}

/** A line or entry that says nothing usable. The rest of the manifest stands. */
export interface ManifestProblem {
  readonly where: string;
  /** The name in it, where there is one. */
  readonly name?: string;
  /** Completes `where: …`: what was expected and what was given. */
  readonly problem: string;
}

export type ManifestItem = ManifestEntry | ManifestProblem;

export interface ManifestFormat {
  readonly name: FormatName;
  /** Its line in the help of `--format`. */
  readonly text: string;
  /**
   * What the bytes say, in their order, one name as often as it stands there (`readManifest` puts them together). Throws
   * `invalid-request` for what is not of this format as a whole, `unsupported` for what is, but cannot be read here. A
   * list of lines is read as it is asked for.
   */
  parse(bytes: Uint8Array, hint: ManifestHint): Iterable<ManifestItem> | Promise<Iterable<ManifestItem>>;
  /** The same of a list of lines that comes in blocks; absent for what has to be there as a whole. */
  parseBlocks?(blocks: Iterable<Uint8Array>, hint: ManifestHint, cursor?: LineCursor): Iterable<ManifestItem>;
  /** Absent: read only. */
  write?(hint: ManifestHint): ManifestWriter;
}

/** Where the item stands that a list of lines gave last. */
export interface LineCursor {
  /** Byte of the list that its line begins at. */
  at: number;
  /** Of its line, from 1. */
  number: number;
}

export interface ManifestHint {
  /** That goes without saying, as the manifest's own name tells (`SHA256SUMS`, `manifest-md5.txt`); the only one to write. */
  readonly algorithm?: Algorithm;
  /** What a digest without a name is of: `x.iso` in `x.iso.sha256`. */
  readonly subject?: string;
}

/**
 * Makes the text of a manifest, piece by piece: `begin`, any number of entries, `end`. `entry` throws
 * `invalid-request` for a name that the format has no way to write, and for a digest that it has no place for.
 */
export interface ManifestWriter {
  begin(): string;
  entry(entry: Written): string;
  end(): string;
}

export type Written = Omit<ManifestEntry, 'where'> & {
  /** `-` is not a file of that name. */
  readonly isStandardInput?: boolean;
  /** Who made the digests, where that was not now. */
  readonly reused?: string;
};

export function isProblem(item: ManifestItem): item is ManifestProblem {
  return 'problem' in item;
}

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K & keyof T> : never;

/** An item before anyone knows where it stands. */
export type Said = Without<ManifestItem, 'where'>;

/** A {@link Said} that says what is wrong. */
export function wrong(problem: string, name?: string): Said {
  return name === undefined ? { problem } : { problem, name };
}
