import { dirname } from 'node:path';
import { TransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import { freeBytes } from '../../local/disk.ts';
import type { Bytes } from '../../protocol.ts';
import { safeText } from '../../safe-text.ts';
import { type Program, room, startProgram } from '../program.ts';

/** A program that makes a squashfs. */
export interface Packer {
  readonly name: 'tar2sqfs' | 'mksquashfs';
  readonly file: string;
}

/**
 * The first of them that is there is taken: the one that reads a tar archive from a pipe, owners and devices included
 * whoever runs it.
 */
const PACKERS = ['tar2sqfs', 'mksquashfs'] as const;

/** Pieces below this size go over together: a member is three of them. */
const TOGETHER = 256 * 1024;
const SMALL = 64 * 1024;

/** The packer in the directories of `path`, as in `PATH`. Throws `unsupported` when there is none. */
export function findPacker(path: string): Packer {
  const found = findProgram(PACKERS, path);
  if (found) return found;
  throw new TransferError('unsupported', `making a SIF file: none of ${PACKERS.join(', ')} is in PATH`, {
    hint: "install Debian's `squashfs-tools-ng` (or `squashfs-tools`): apt-get install squashfs-tools-ng",
  });
}

export interface PackCall {
  readonly packer: Packer;
  /** The squashfs, which is not there yet. */
  readonly to: string;
  /** Seconds since 1970, of the file system. */
  readonly time: number;
  readonly path: string;
  readonly signal: AbortSignal;
}

/** A block of a squashfs: with fewer bytes free, that is why a program could not write it. */
const FULL = 128 * 1024;

/** gzip is what every runtime and kernel reads. */
const COMPRESSION = 'gzip';

/** The squashfs of what the archive `tar` holds lies in `to`, its bytes decided by the archive and the packer's version. */
export async function packTar(tar: Bytes, call: PackCall): Promise<void> {
  const args = ['--quiet', '--no-skip', '--compressor', COMPRESSION, call.to];
  await run(call, args, (program) => feed(program, tar));
}

/** The same of a directory, for a packer that reads no archives. */
export async function packTree(root: string, isOwned: boolean, call: PackCall): Promise<void> {
  const owners = isOwned ? [] : ['-all-root'];
  const time = ['-mkfs-time', String(call.time)];
  const args = [
    root,
    call.to,
    '-noappend',
    '-quiet',
    '-no-progress',
    '-comp',
    COMPRESSION,
    ...time,
    ...owners,
  ];
  await run(call, args, async ({ input }) => void input.end());
}

async function run(
  { packer, signal, path, time, to }: PackCall,
  args: readonly string[],
  work: (program: Program) => Promise<void>,
): Promise<void> {
  const doing = `making a squashfs with \`${packer.file}\``;
  if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
  // The other takes it as the latest time that any file may have, and has an option for what is meant.
  const environment = packer.name === 'tar2sqfs' ? { SOURCE_DATE_EPOCH: String(time) } : {};
  const program = startProgram(packer.file, args, { path, signal, environment });
  program.output.resume();
  try {
    await work(program);
    const { status, said } = await program.ended;
    if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
    if (status !== 0) throw whyNot(doing, to, lastLine(said));
  } finally {
    await program.stop();
  }
}

/** Programs say `I/O error` of a full disk. */
function whyNot(doing: string, to: string, said: string): TransferError {
  const directory = dirname(to);
  const free = freeBytes(directory);
  if (free === undefined || free > FULL) {
    return new TransferError('unexpected', `${doing}: ${safeText(said)}`);
  }
  return new TransferError('no-space', `${doing}: no space left in \`${directory}\``, {
    hint: 'make room there: a SIF file is made beside its destination, or below TMPDIR for one elsewhere',
  });
}

const lastLine = (text: string): string => text.split('\n').pop() ?? '';

/** Writes all of `tar` to the program's input, or what it takes before it ends. */
async function feed(program: Program, tar: Bytes): Promise<void> {
  const { input, child } = program;
  for await (const bytes of together(tar)) {
    if (input.destroyed || child.exitCode !== null || child.signalCode !== null) return;
    if (!input.write(bytes)) await room(program);
  }
  input.end();
}

/** Small pieces copied together, large ones as they are. */
async function* together(tar: Bytes): AsyncGenerator<Uint8Array> {
  let buffer = Buffer.allocUnsafe(TOGETHER);
  let filled = 0;
  for await (const piece of tar) {
    const fits = filled + piece.length <= TOGETHER;
    if (filled > 0 && (!fits || piece.length >= SMALL)) {
      yield buffer.subarray(0, filled);
      buffer = Buffer.allocUnsafe(TOGETHER);
      filled = 0;
    }
    if (piece.length >= SMALL) yield piece;
    else {
      buffer.set(piece, filled);
      filled += piece.length;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
