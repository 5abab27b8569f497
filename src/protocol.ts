import type { Context } from './context.ts';
import type { TransferError } from './errors.ts';
import type { Location } from './location.ts';

export type * from './context.ts';

export type Algorithm =
  | 'sha256'
  | 'sha512'
  | 'blake3'
  | 'sha1'
  | 'md5'
  | 'xxh3'
  | 'crc32'
  | 'crc32c'
  | 'crc64nvme'
  | 'adler32';

export interface Digest {
  readonly algorithm: Algorithm;
  /** Lower-case hexadecimal. */
  readonly value: string;
  /** Composite of parts of this size in bytes, when not of the whole. */
  readonly partSize?: number;
}

/**
 * Chunks of up to 1 MiB. A chunk is immutable once yielded: the producer never writes to it again, no consumer changes
 * it. A consumer that will never read a chunk again may hand its memory back with `giveBack` of `slabs.ts`.
 */
export type Bytes = AsyncIterable<Uint8Array>;

/** Bytes `start` up to, not including, `end`. Without `end`: to the end of the file. */
export interface Range {
  readonly start: number;
  readonly end?: number;
}

export interface Stat {
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  /** Bytes of the whole, also on a ranged read. */
  readonly size?: number | undefined;
  readonly modified?: Date | undefined;
  /** Permission bits, 0 to 0o7777. */
  readonly mode?: number | undefined;
  readonly digests?: readonly Digest[] | undefined;
  /** Differs whenever the content does: strong ETag, generation, mtime+ctime+size+inode. Without one, a broken read starts over. */
  readonly version?: string | undefined;
}

/** A digest that decides every byte of a file by a rule of its own, such as that of an image's manifest. */
export interface ProvenBy extends Digest {
  /** What it is the digest of, in a word. */
  readonly by: string;
  /** Whoever asked for the file has named it by this. */
  readonly isAskedFor: boolean;
}

export interface Source extends Stat {
  /** Iterate once. Leaving the iteration early releases the connection or descriptor. */
  readonly bytes: Bytes;
  /** Digests of the whole file that the sender declared along with these bytes; the stored object's own are in `digests`. */
  readonly wire?: readonly Digest[] | undefined;
  /** What names the whole file, where the source itself compares every byte with it on the way. */
  readonly proven?: ProvenBy | undefined;
  /** Something about this read that the user should know, one sentence. */
  readonly note?: string | undefined;
  /** Resolves after the body: digests that came behind it. Rejects when the sender says there that the transfer failed. */
  trailer?(): Promise<readonly Digest[]>;
  /** Rejects with `changed` when the content differs from what was promised when the read began. Asked after the last byte. */
  confirm?(): Promise<void>;
  /** Releases the connection or descriptor when `bytes` is never iterated. Harmless otherwise. */
  discard?(): Promise<void>;
}

/** What an interrupted write left behind and can carry on from. S3 parts can leave holes. */
export interface PartialWrite {
  /** What is stored: for remote endpoints, what the service says that it has. A write goes on behind the first, which starts at 0. */
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /**
   * The service's acknowledgement proves every byte of `ranges` (part digests compared on arrival, a committed offset
   * whose whole is checked by digest at the end). Otherwise the stored bytes are believed only as far as `read` shows
   * that they are what was sent; without either, the write starts over.
   */
  readonly isProven?: true;
  /** Opaque to everyone but the endpoint that made it (for local ones: the path of the partial). A secret for some services. */
  readonly handle: string;
  /** The stored prefix, where it can be read back; `range` starts at 0, but for local endpoints. */
  read?(call: ReadCall): Promise<Source>;
  /** Ends a claim that no write took up: kept for a later one, or removed. */
  release(keep: boolean): Promise<void>;
}

/** What the service says it now stores. */
export interface Stored {
  readonly size?: number | undefined;
  readonly version?: string | undefined;
  readonly digests: readonly Digest[];
  /** The service compared every byte it took with a digest of ours, and stores just these. */
  readonly isProven?: true;
}

/** Written, but not yet visible under its name. Exactly one of commit and abort is called, once. */
export interface Staged {
  /** The staged bytes, where they can be read back before they are visible. */
  read?(call: ReadCall): Promise<Source>;
  /** Nothing is stored before commit: what `read` gives is what will be sent, and proves nothing of the service. */
  readonly isUnsent?: true;
  /**
   * Makes the bytes visible under their name, durably. `digests` are those of the whole content, for services that
   * compare them before they show it.
   */
  commit(signal: AbortSignal, digests?: ReadonlyMap<Algorithm, string>): Promise<Stored>;
  /** Drops the staged bytes, or keeps them for a later resume. Never touches what was there before. */
  abort(options?: { readonly keep?: boolean }): Promise<void>;
}

export interface Call {
  readonly signal: AbortSignal;
}

export interface ReadCall extends Call {
  readonly range?: Range | undefined;
  /** Only this version: anything else rejects with `changed` before any byte. */
  readonly version?: string | undefined;
  /** Past every cache and proxy: a copy in between may be the damaged one. */
  readonly fresh?: boolean | undefined;
  /** What an earlier read gave, from `start` up to that of `range`, for sources that compare what reaches across it. */
  readonly before?: ((start: number) => Promise<Bytes>) | undefined;
}

/** The engine's policy for one idempotent unit of a write (a part, a chunk, a MOVE). */
export type RetryUnit = <T>(unit: (signal: AbortSignal) => Promise<T>) => Promise<T>;

export interface WriteCall extends Call {
  /** Bytes that will come. A write of another count rejects with `size-mismatch`. */
  readonly size?: number | undefined;
  /** Permission bits for a new file; never setuid, setgid or sticky. */
  readonly mode?: number | undefined;
  /** Permission bits to end up with, whatever the umask says and whatever was there. Never setuid, setgid or sticky. */
  readonly exactMode?: number | undefined;
  /** Sets the modification time. */
  readonly modified?: Date | undefined;
  /** Names this write among others to the same path: the same key finds the same partial. Fixed length, lower-case hexadecimal. */
  readonly key: string;
  /** Rejects with `already-exists` where something is under the name already, for services that can decide it; others replace. */
  readonly onlyNew?: boolean | undefined;
  /** Go on behind these ranges of an earlier write; `bytes` starts where they end. */
  readonly resume?: PartialWrite | undefined;
  /** Digests that the content must have, for services that check them. */
  readonly expected?: readonly Digest[] | undefined;
  /**
   * Called with the handle of what is being written once it exists, and again whenever what the handle says has grown
   * (one more part). With it, a broken write and a failed commit keep what is stored. Local endpoints call it once,
   * before the first byte.
   */
  readonly onPartial?: ((handle: string) => void) | undefined;
  readonly retry: RetryUnit;
}

export interface PartialCall extends Call {
  readonly key: string;
  /**
   * What the last `onPartial` of an earlier write said, for remote endpoints; possibly a secret, possibly outdated.
   * Without it the endpoint may look for what it names by `key`.
   */
  readonly handle?: string | undefined;
}

export interface MkdirCall extends Call {
  /** Permission bits for the directory if it is made, not for its parents; never setuid, setgid or sticky. */
  readonly mode?: number | undefined;
  /** `mode` is what to end up with, whatever the umask says. */
  readonly isExact?: boolean | undefined;
}

export interface RemoveCall extends Call {
  readonly recursive?: boolean;
}

export interface LinkCall extends Call {
  readonly key: string;
  readonly kind: 'hard' | 'symbolic';
}

export interface Entry {
  /** Relative to the listed directory, plain, `/`-separated, without a leading slash. */
  readonly name: string;
  readonly stat: Stat;
  /** Why this entry cannot be transferred by name (bytes that are no UTF-8, for one). */
  readonly problem?: string;
}

export interface ListCall extends Call {
  readonly recursive?: boolean;
}

export interface LeftoversCall extends Call {
  /** That of a write to the path itself: tells what lies beside it under names of ours. */
  readonly key: string;
  /** Told of each directory below that cannot be looked into; the search goes on. */
  readonly onProblem: (problem: TransferError) => void;
}

/** What lies at a service and is no file yet, of a write that never ended. */
export interface Leftover {
  /**
   * `partial`: under a name that only this project makes. `upload`: begun by whomever, seen by nobody but who looks for
   * such. `aside`: a file that was being replaced, under a name of ours; perhaps the only copy. `folder`: empty, ours.
   */
  readonly kind: 'partial' | 'upload' | 'aside' | 'folder';
  /** Its own, or for an upload the one that it was to become; as the endpoint's methods take it. */
  readonly path: string;
  readonly size?: number | undefined;
  /** Milliseconds since it last changed, by the service's clock where it tells the time, else by ours. */
  readonly age?: number | undefined;
  /** A writer may be at work on it, as far as the place itself tells. */
  readonly isInUse?: boolean | undefined;
  /** True when `handle`, as a write told it to `onPartial`, is of this one. */
  isNamedBy?(handle: string): boolean;
  /** Gone after this; absent is success. */
  remove(call: Call): Promise<void>;
}

/** Something that a service says of itself, for people; no secret. Without text and bytes there is nothing to tell. */
export interface ServiceFact {
  /** A word or two. */
  readonly label: string;
  readonly text?: string | undefined;
  readonly bytes?: number | undefined;
}

/**
 * One service under one identity: a host, a bucket, the local disk. An absent method is an absent capability; there are
 * no flags. Methods reject with `TransferError` only, and never retry.
 */
export interface Endpoint {
  /** Endpoints with equal `service` (identity included) may copy, move and link between each other. */
  readonly service: string;
  /** The same in every run, for endpoints whose `service` is not: partials of earlier runs are found by it. */
  readonly account?: string;
  /** Digests to take on the way of a write, because this service checks or reports them. */
  readonly digestsOnWrite?: readonly Algorithm[];
  /** Where a partial write and its journal lie on this machine, for endpoints that are local. */
  readonly isLocal?: boolean;
  /** What is read comes by way of the cache already, where there is one. */
  readonly usesCache?: boolean;
  /** Whether there ever is a `partial` depends on the server, which only a write tries; `describe` says what is known. */
  readonly partialDepends?: true;
  /** Bytes of memory that reading or writing a file of `size` takes here, beside the chunks on their way. */
  memory?(size: number | undefined, use: 'read' | 'write'): number;
  stat(path: string, call: Call): Promise<Stat>;
  /** A range the service does not honour rejects with `range-ignored` before any byte. */
  read(path: string, call: ReadCall): Promise<Source>;
  /** Either stores every byte, staged, or rejects having left nothing visible. */
  write?(path: string, bytes: Bytes, call: WriteCall): Promise<Staged>;
  /**
   * What an earlier write with this key left, claimed for this process; undefined when there is nothing to build on. A
   * handle that makes no sense rejects with `invalid-request` or is nothing to build on.
   */
  partial?(path: string, call: PartialCall): PartialWrite | undefined | Promise<PartialWrite | undefined>;
  list?(path: string, call: ListCall): AsyncIterable<Entry>;
  /**
   * What writes to `path` and below it left and listings do not show. Changes nothing. A path that is no directory
   * stands for the file that it names. Rejects with `not-found` where not even its directory is.
   */
  leftovers?(path: string, call: LeftoversCall): AsyncIterable<Leftover>;
  /** With parents; existing is success. */
  mkdir?(path: string, call: MkdirCall): Promise<void>;
  /** Absent is success. */
  remove?(path: string, call: RemoveCall): Promise<void>;
  move?(from: string, to: string, call: CopyCall): Promise<void>;
  /** By the service itself (kernel copy, reflink, server-side copy), staged like a write. `call.source` tells where `from` is. */
  copy?(from: string, to: string, call: CopyCall): Promise<Staged>;
  link?(target: string, path: string, call: LinkCall): Promise<void>;
  digest?(path: string, algorithms: readonly Algorithm[], call: ReadCall): Promise<readonly Digest[]>;
  /** What cannot be told from the methods: limits, free space where `path` is, by what means it is reached. Changes nothing. */
  describe?(path: string, call: Call): Promise<readonly ServiceFact[]>;
  close?(): Promise<void>;
}

export interface CopyCall extends Call {
  readonly key: string;
  /** Where `from` is, for services whose endpoints share a `service` and not an authority (buckets); else as the endpoint's own. */
  readonly source?: Location | undefined;
  readonly mode?: number;
  /** Permission bits to end up with, whatever the umask says and whatever was there. */
  readonly exactMode?: number | undefined;
  readonly modified?: Date | undefined;
  /** Called with the bytes copied so far, where that can be known. */
  readonly progress?: (bytes: number) => void;
  /** Called by a move that had to copy, before the copy is visible and the source gone; both stay as they were when it rejects. */
  readonly prove?: (readCopy: (call: ReadCall) => Promise<Source>) => Promise<void>;
}

export interface Protocol {
  open(location: Location, context: Context): Endpoint | Promise<Endpoint>;
}
