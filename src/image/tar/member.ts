import type { ByteText } from '../../job/byte-text.ts';
import type { Bytes } from '../../protocol.ts';

/** Size of everything in a tar archive but the last byte of a body (POSIX.1-2017, `pax`, ustar Interchange Format). */
export const BLOCK = 512;

export type MemberType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** Bytes of a sparse file that are stored; what lies between extents reads as zeros. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** What a tar archive says of one member, whichever header said it. */
export interface Member {
  /** To the byte, as stored: with a `/` at the end or `./` in front where the archive has them. Never empty, no NUL. */
  readonly name: ByteText;
  readonly type: MemberType;
  /** Bytes of the file as its reader sees it, holes included; 0 for all other types. */
  readonly size: number;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, with a fraction of microseconds. */
  readonly modified: number;
  /** Where a symbolic link points, or which member a hard link is another name of. Empty otherwise. */
  readonly link: ByteText;
  /** Device numbers of `character` and `block`; 0 otherwise. */
  readonly major: number;
  readonly minor: number;
  /** Extended attributes (`SCHILY.xattr.` of pax), by full name such as `security.capability`. */
  readonly xattrs: ReadonlyMap<ByteText, ByteText>;
  /** Where the stored bytes of a sparse file lie, in order and apart; absent when the file is stored whole. */
  readonly extents?: readonly Extent[];
}

/** One member with its bytes. Either `body` or `stored` is iterated, once, before the next member is asked for. */
export interface Entry extends Member {
  /** The file as its reader sees it: `size` bytes. */
  readonly body: Bytes;
  /** What the archive stores of it: the bytes of the extents one behind the other, or of the whole file. */
  readonly stored: Bytes;
}
