/** What the first block of a squashfs says (Linux, `fs/squashfs/squashfs_fs.h`; all little-endian). */
export interface Superblock {
  readonly inodes: number;
  /** Seconds since 1970. */
  readonly modified: number;
  readonly blockBytes: number;
  readonly compression: string;
  /** Of the file system, without what fills its last block. */
  readonly bytes: number;
}

export const SUPERBLOCK_BYTES = 96;

const COMPRESSIONS = ['', 'gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'];
/** Blocks of a file are of 4 KiB to 1 MiB. */
const LEAST_LOG = 12;
const MOST_LOG = 20;
/** Of its tables: ids, attributes, inodes, directories, fragments, exports. All ones: there is none. */
const TABLES = [48, 56, 64, 72, 80, 88];
const NO_TABLE = 0xffff_ffff_ffff_ffffn;

const MAGIC = 'hsqs';

/** Whether the first bytes are those of a squashfs; 4 of them tell. */
export function beginsAsSquashfs(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, MAGIC.length)).toString('latin1') === MAGIC;
}

/** The superblock of a squashfs 4.0 in a partition of `size` bytes, or what is wrong with it. */
export function readSuperblock(bytes: Buffer, size: number): Superblock | string {
  if (!beginsAsSquashfs(bytes)) return 'does not begin as a squashfs';
  if (bytes.readUInt16LE(28) !== 4 || bytes.readUInt16LE(30) !== 0) return 'is no squashfs of version 4.0';
  const compression = COMPRESSIONS[bytes.readUInt16LE(20)];
  if (!compression) return 'is compressed by nothing that squashfs knows';
  const blockBytes = bytes.readUInt32LE(12);
  const log = bytes.readUInt16LE(22);
  if (log < LEAST_LOG || log > MOST_LOG || blockBytes !== 2 ** log)
    return 'has blocks of a size that squashfs has not';
  const used = bytes.readBigUInt64LE(40);
  if (used > BigInt(size)) return 'is cut: its squashfs is longer';
  for (const table of TABLES) {
    const at = bytes.readBigUInt64LE(table);
    if (at !== NO_TABLE && at >= used) return 'has a table behind its end';
  }
  return {
    inodes: bytes.readUInt32LE(4),
    modified: bytes.readUInt32LE(8),
    blockBytes,
    compression,
    bytes: Number(used),
  };
}
