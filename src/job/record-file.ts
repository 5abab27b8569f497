import fs, { type BigIntStats } from 'node:fs';
import { type ByteText, fromBytes, toPath } from './byte-text.ts';
import { localSeconds } from './local-time.ts';
import { plain, quoted } from './yaml-scalar.ts';

/** Names of users and groups, by number. */
export interface Names {
  user(uid: bigint): string | undefined;
  group(gid: bigint): string | undefined;
}

/** What a file is known by. */
export type FileSource =
  | { readonly kind: 'file'; readonly path: ByteText }
  | { readonly kind: 'temporary'; readonly path: ByteText; readonly fd: number }
  | { readonly kind: 'descriptor'; readonly fd: number };

/** What stat(2) told of a file, or the number of its error. */
export interface FileEntry {
  readonly source: FileSource;
  readonly lfn?: ByteText | undefined;
  readonly stat?: BigIntStats | undefined;
  readonly errno?: number | undefined;
}

/** What became of an output of the job. */
export interface Output {
  readonly entry: FileEntry;
  /** Lower-case hexadecimal. */
  readonly sha256?: string;
  /** How it was taken, when that was to be as the file was written. */
  readonly method?: 'as-written' | 'full-pass';
  readonly seconds?: number;
  /** A digest was to be made, and there is none. */
  readonly isUnread?: boolean;
}

/** True for what a workflow cannot use: not there, no file, or without a digest. */
export const isBad = ({ entry, isUnread = false }: Output): boolean => entry.errno !== undefined || isUnread;

/** The lines of one file, each behind `indent`, in the order of the original. */
export function fileLines({ source, lfn, stat, errno }: FileEntry, indent: string, names: Names): string {
  const lines: string[] = [];
  if (errno !== undefined) lines.push(`error: ${errno}`);
  if (lfn !== undefined) lines.push(`lfn: ${quoted(lfn)}`);
  switch (source.kind) {
    case 'file':
      lines.push(`file_name: ${plain(realPath(source.path))}`);
      break;
    case 'temporary':
      lines.push(`temporary_name: ${plain(source.path)}`, `descriptor: ${source.fd}`);
      break;
    case 'descriptor':
      lines.push(`descriptor_number: ${source.fd}`);
  }
  if (stat) lines.push(...statLines(stat, names));
  return lines.map((line) => `${indent}${line}\n`).join('');
}

function statLines(stat: BigIntStats, names: Names): string[] {
  const user = names.user(stat.uid);
  const group = names.group(stat.gid);
  return [
    `mode: 0o${stat.mode.toString(8)}`,
    `size: ${stat.size}`,
    `inode: ${stat.ino}`,
    `nlink: ${stat.nlink}`,
    `blksize: ${stat.blksize}`,
    `blocks: ${stat.blocks}`,
    `mtime: ${wholeSeconds(stat.mtimeNs)}`,
    `atime: ${wholeSeconds(stat.atimeNs)}`,
    `ctime: ${wholeSeconds(stat.ctimeNs)}`,
    `uid: ${stat.uid}`,
    ...(user === undefined ? [] : [`user: ${plain(user)}`]),
    `gid: ${stat.gid}`,
    ...(group === undefined ? [] : [`group: ${plain(group)}`]),
  ];
}

const SECOND = 1_000_000_000n;

/** The second that the moment lies in, before 1970 as well. */
function wholeSeconds(nanoseconds: bigint): string {
  const rest = ((nanoseconds % SECOND) + SECOND) % SECOND;
  return localSeconds(new Date(Number((nanoseconds - rest) / SECOND) * 1000));
}

/** Links followed; the path as it is where that cannot be told. */
function realPath(path: ByteText): ByteText {
  try {
    return fromBytes(fs.realpathSync.native(toPath(path), { encoding: 'buffer' }) as unknown as Buffer);
  } catch {
    return path;
  }
}
