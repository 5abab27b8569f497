import { type ChildProcess, spawn } from 'node:child_process';
import { onAbort } from '../../abort.ts';
import { TransferError, toTransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import type { Bytes } from '../../protocol.ts';
import { safeText } from '../../safe-text.ts';

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

/** What is kept of what a packer prints: its reasons come last. */
const KEPT = 4096;

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

/** gzip is what every runtime and kernel reads. */
const COMPRESSION = 'gzip';

/** The squashfs of what the archive `tar` holds lies in `to`, its bytes decided by the archive and the packer's version. */
export async function packTar(tar: Bytes, call: PackCall): Promise<void> {
  const args = ['--quiet', '--no-skip', '--compressor', COMPRESSION, call.to];
  await run(call, args, (child) => feed(child, tar));
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
  await run(call, args, async (child) => void child.stdin?.end());
}

async function run(
  { packer, signal, path, time }: PackCall,
  args: readonly string[],
  work: (child: ChildProcess) => Promise<void>,
): Promise<void> {
  const doing = `making a squashfs with \`${packer.file}\``;
  if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
  const child = spawn(packer.file, args, {
    stdio: ['pipe', 'ignore', 'pipe'],
    // The other takes it as the latest time that any file may have, and has an option for what is meant.
    env: {
      PATH: path,
      LC_ALL: 'C',
      ...(packer.name === 'tar2sqfs' ? { SOURCE_DATE_EPOCH: String(time) } : {}),
    },
  });
  let said = '';
  child.stderr?.setEncoding('latin1').on('data', (text: string) => {
    said = (said + text).slice(-KEPT);
  });
  // Why it takes no more is told by its end.
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(toTransferError(error, 'starting it').message));
    child.on('close', (status, name) => {
      if (status === 0) resolve(undefined);
      else resolve(safeText(said.trim().split('\n').pop() || `ended with ${name ?? `status ${status}`}`));
    });
  });
  const stopWaiting = onAbort(signal, () => child.kill('SIGKILL'));
  try {
    await work(child);
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    throw error;
  } finally {
    stopWaiting();
  }
  const problem = await ended;
  if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
  if (problem !== undefined) throw new TransferError('unexpected', `${doing}: ${problem}`);
}

/** Writes all of `tar` to the child's input, or what it takes before it ends. */
async function feed(child: ChildProcess, tar: Bytes): Promise<void> {
  const input = child.stdin;
  if (!input) return;
  const write = async (bytes: Uint8Array) => {
    if (!input.destroyed && !input.write(bytes)) await room(child);
  };
  for await (const bytes of together(tar)) {
    if (input.destroyed || child.exitCode !== null || child.signalCode !== null) return;
    await write(bytes);
  }
  input.end();
}

function room(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      child.stdin?.off('drain', done).off('close', done);
      child.off('close', done);
      resolve();
    };
    child.stdin?.on('drain', done).on('close', done);
    child.on('close', done);
  });
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
