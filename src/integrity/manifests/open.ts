import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { attempting } from '../../errors.ts';
import { changedWhileRead } from '../../regular-file.ts';
import { identityOf, isSame } from '../digest-file.ts';
import { detectFormat, hintOf } from './detect.ts';
import { findFormat, type ManifestOrigin } from './formats.ts';
import { type ListLines, linesOfList, type Parse } from './list-lines.ts';
import type { FormatName, ManifestItem } from './manifest.ts';
import { joinNeighbours } from './merge.ts';

/** Bytes of a list that are read at a time. */
const BLOCK = 256 * 1024;
/** Bytes of a list up to which what it says is kept rather than read again: a list of 20,000 files. */
const KEPT_BYTES = 2 * 1024 * 1024;

/** A list that can be gone through as often as wanted. */
export interface OpenManifest {
  readonly format: FormatName;
  /** It is short, and in memory. */
  readonly isKept: boolean;
  /** What it says, in its order, the same each time. Throws `changed` where a file no longer is what it was. */
  items(): Iterable<ManifestItem>;
  /** Of one that is not kept. */
  readonly lines?: ListLines;
}

/** A list in memory, or a regular file that was looked at. */
export type ManifestSource = Uint8Array | { readonly path: string; readonly seen: BigIntStats };

/**
 * Opens a list. One of lines takes no memory but a block, however long it is; a short one, and any other, is kept. Rejects
 * as `readManifest` does.
 */
export async function openManifest(source: ManifestSource, origin: ManifestOrigin): Promise<OpenManifest> {
  const isFile = !(source instanceof Uint8Array);
  const head = isFile ? headOf(source) : source;
  const format = findFormat(origin.format ?? detectFormat(origin.fileName, head));
  const algorithm = origin.algorithm ? { algorithm: origin.algorithm } : {};
  const hint = { ...hintOf(origin.fileName), ...algorithm };
  const { name, parseBlocks } = format;
  if (parseBlocks && (isFile ? Number(source.seen.size) : source.length) > KEPT_BYTES) {
    const parse: Parse = (blocks, cursor) => parseBlocks(blocks, hint, cursor);
    const blocks = () => (isFile ? blocksOf(source) : [source]);
    return {
      format: name,
      isKept: false,
      items: () => joinNeighbours(parse(blocks())),
      lines: linesOfList({ source, blocks, parse }),
    };
  }
  const items = [...(await format.parse(isFile ? wholeOf(source) : source, hint))];
  return { format: name, isKept: true, items: () => items };
}

type ListFile = Exclude<ManifestSource, Uint8Array>;

function headOf(file: ListFile): Uint8Array {
  for (const block of blocksOf(file)) return Buffer.from(block);
  return Buffer.alloc(0);
}

function wholeOf({ path }: ListFile): Uint8Array {
  return attempting(`read \`${path}\``, () => readFileSync(path));
}

/** The next block takes the place of the one before. */
function* blocksOf({ path, seen }: ListFile): Generator<Uint8Array> {
  const doing = `read \`${path}\``;
  const buffer = Buffer.allocUnsafeSlow(BLOCK);
  const fd = attempting(doing, () => openSync(path, 'r'));
  try {
    for (let got = BLOCK; got > 0; ) {
      got = attempting(doing, () => readSync(fd, buffer, 0, BLOCK, null));
      if (got > 0) yield buffer.subarray(0, got);
    }
    if (!isSame(identityOf(seen), identityOf(fstatSync(fd, { bigint: true })))) throw changedWhileRead(doing);
  } finally {
    closeSync(fd);
  }
}
