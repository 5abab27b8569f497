import fs from 'node:fs';
import { toTransferError } from '../../errors.ts';
import { toBytes } from '../../job/byte-text.ts';
import type { Entry, Member } from '../tar/member.ts';
import { isForeign, type SpecialCalls } from './special.ts';
import { shown } from './tree.ts';

/** What of an archive's metadata is taken over. */
export interface Takeover {
  readonly owners: boolean;
  readonly setuid: boolean;
  readonly devices: boolean;
}

/** What was left out, and how often. */
export interface Notes {
  add(what: string, member: Member): void;
  /** A sentence each. */
  all(): string[];
}

export function notes(): Notes {
  const found = new Map<string, { count: number; readonly first: string }>();
  return {
    add: (what, { name }) => {
      const known = found.get(what);
      if (known) known.count += 1;
      else found.set(what, { count: 1, first: shown(name) });
    },
    all: () => [...found].map(([what, { count, first }]) => `${what}: ${count}, the first \`${first}\``),
  };
}

const SETUID = 0o6000;
/** What its owner needs to read and remove a tree that it cannot give to its real owners. */
const OWN_FILE = 0o600;
export const OWN_DIRECTORY = 0o700;

/** Only ever a new file: neither one that is there nor one behind a link. */
const NEW_FILE = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW;

/** Pieces from this size are written beside this thread; below it, that costs more than the write. */
const LARGE = 64 * 1024;

/** Writes a file that is not there yet, holes as holes. */
export async function placeFile(path: Buffer, entry: Entry): Promise<void> {
  const fd = fs.openSync(path, NEW_FILE, OWN_FILE);
  try {
    if (!entry.extents) {
      await writeAt(fd, entry.body, 0);
      return;
    }
    fs.ftruncateSync(fd, entry.size);
    const ahead = [...entry.extents];
    let next = ahead.shift();
    let done = 0;
    for await (let piece of entry.stored) {
      while (piece.length > 0 && next) {
        const part = piece.subarray(0, next.length - done);
        await write(fd, part, next.offset + done);
        done += part.length;
        piece = piece.subarray(part.length);
        if (done < next.length) continue;
        next = ahead.shift();
        done = 0;
      }
    }
  } finally {
    fs.closeSync(fd);
  }
}

async function writeAt(fd: number, body: Entry['body'], offset: number): Promise<void> {
  for await (const piece of body) {
    await write(fd, piece, offset);
    offset += piece.length;
  }
}

async function write(fd: number, piece: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < piece.length; ) {
    const rest = piece.subarray(at);
    at +=
      rest.length < LARGE
        ? fs.writeSync(fd, rest, 0, rest.length, offset + at)
        : await writeBeside(fd, rest, offset + at);
  }
}

function writeBeside(fd: number, piece: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, piece, 0, piece.length, offset, (error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** Gives what lies at `path` the owner, attributes, mode and time of `member`, as far as `takeover` goes. */
export function dress(
  path: Buffer,
  member: Member,
  takeover: Takeover,
  special: SpecialCalls,
  left: Notes,
): void {
  const { owners, setuid } = takeover;
  if (owners) fs.lchownSync(path, member.uid, member.gid);
  // A new owner takes capabilities away, so they come behind it.
  for (const [name, value] of member.xattrs) {
    const isPower = name === 'security.capability';
    if (isForeign(name) || (isPower && !(setuid && owners))) {
      left.add(`attributes \`${shown(name)}\` not taken over`, member);
      continue;
    }
    const problem = special.setAttribute(path, name, value);
    if (problem) left.add(`attributes \`${shown(name)}\` not set (${problem})`, member);
  }
  if (member.type === 'symlink') {
    fs.lutimesSync(path, member.modified, member.modified);
    return;
  }
  const isDirectory = member.type === 'directory';
  // On directories they say whose group new files get, which lends nothing.
  const isKept = setuid || isDirectory || (member.mode & SETUID) === 0;
  if (!isKept) left.add('setuid bits not taken over', member);
  const own = owners ? 0 : isDirectory ? OWN_DIRECTORY : OWN_FILE;
  fs.chmodSync(path, (isKept ? member.mode : member.mode & ~SETUID) | own);
  fs.utimesSync(path, member.modified, member.modified);
}

/** Makes what is no file, directory or hard link. True when it is there now. */
export function placeOther(
  path: Buffer,
  member: Member,
  takeover: Takeover,
  special: SpecialCalls,
  left: Notes,
): boolean {
  if (member.type === 'symlink') {
    fs.symlinkSync(toBytes(member.link), path);
    return true;
  }
  if (member.type !== 'fifo' && !takeover.devices) {
    left.add('devices left out', member);
    return false;
  }
  const problem = special.makeNode(path, member);
  if (problem) left.add(`devices and pipes not made (${problem})`, member);
  return problem === undefined;
}

/** An error of the file system, with the member that it is about. */
export const failed = (error: unknown, { name }: Member): Error =>
  toTransferError(error, `extracting \`${shown(name)}\``);
