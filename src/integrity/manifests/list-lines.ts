import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { attempting, TransferError } from '../../errors.ts';
import { changedWhileRead } from '../../regular-file.ts';
import type { LineCursor, ManifestItem } from './manifest.ts';
import type { ManifestSource } from './open.ts';
import { LONGEST_LINE } from './text.ts';

/** A long list of lines that is not kept: any line can be asked for again. */
export interface ListLines {
  /** Everything that it says; `cursor` tells where each stands. */
  items(cursor: LineCursor): Iterable<ManifestItem>;
  /** How many lines it has, at most. */
  count(): number;
  open(): OpenLines;
}

export interface OpenLines {
  /** What the line says that begins at this byte. Throws `changed` where the list no longer is what it was. */
  itemAt(place: Readonly<LineCursor>): ManifestItem;
  close(): void;
}

export type Parse = (blocks: Iterable<Uint8Array>, cursor?: LineCursor) => Iterable<ManifestItem>;

interface Opening {
  readonly source: ManifestSource;
  readonly blocks: () => Iterable<Uint8Array>;
  readonly parse: Parse;
}

const LF = 0x0a;
/** Bytes that nearly every line fits. */
const USUAL_LINE = 1024;
/** Put before a line that is read alone: it is not the first one, so nothing in it is a byte order mark. */
const BEFORE = Buffer.of(LF);

export function linesOfList({ source, blocks, parse }: Opening): ListLines {
  return {
    items: (cursor) => parse(blocks(), cursor),
    count() {
      let lines = 1;
      for (const block of blocks()) {
        const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
        for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) lines++;
      }
      return lines;
    },
    open() {
      const { lineAt, close } = source instanceof Uint8Array ? linesInMemory(source) : linesInFile(source);
      return {
        close,
        itemAt({ at, number }) {
          for (const item of parse([BEFORE, lineAt(at)])) return { ...item, where: `line ${number}` };
          throw new TransferError('unexpected', `read line ${number} of a list again: nothing is there`);
        },
      };
    },
  };
}

interface LineBytes {
  /** A line with its end. */
  lineAt(at: number): Uint8Array;
  close(): void;
}

function linesInMemory(bytes: Uint8Array): LineBytes {
  return { lineAt: (at) => upToEnd(bytes.subarray(at)), close: () => undefined };
}

/** The file stays open, so that another of the same name is not taken for it. */
function linesInFile({ path, seen }: Exclude<ManifestSource, Uint8Array>): LineBytes {
  const doing = `read \`${path}\``;
  const buffer = Buffer.allocUnsafeSlow(LONGEST_LINE + 2);
  const fd = attempting(doing, () => openSync(path, 'r'));
  const lineAt = (at: number): Uint8Array => {
    // Not the time of its status: that changes when it gets another name, too.
    const now = attempting(doing, () => fstatSync(fd, { bigint: true }));
    if (
      now.ino !== seen.ino ||
      now.dev !== seen.dev ||
      now.size !== seen.size ||
      now.mtimeNs !== seen.mtimeNs
    )
      throw changedWhileRead(doing);
    for (const most of [USUAL_LINE, buffer.length]) {
      const got = attempting(doing, () => readSync(fd, buffer, 0, most, at));
      const line = upToEnd(buffer.subarray(0, got));
      if (got < most || line.at(-1) === LF || most === buffer.length) return line;
    }
    return buffer;
  };
  return { lineAt, close: () => closeSync(fd) };
}

function upToEnd(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(LF);
  return end < 0 ? bytes : bytes.subarray(0, end + 1);
}
