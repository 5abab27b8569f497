import { hash as hashOnce } from 'node:crypto';
import fs from 'node:fs';
import { TransferError, toTransferError } from '../errors.ts';
import type { Algorithm, Digest } from '../protocol.ts';
import { changedWhileRead, requireFile } from '../regular-file.ts';
import { type BlockDigests, startBlocks } from './block-digests.ts';
import { type Running, startDigest } from './digests.ts';

/** Bytes of one read: it stays in the nearest caches between reading and hashing. 256 KiB took a third longer, two threads at a time. */
const READ_BYTES = 64 * 1024;
/** Small enough to be read and hashed before anybody would ask whether to stop. */
const GLANCE_BYTES = 64 * 1024 * 1024;

/** O_NONBLOCK: should a FIFO have taken the name since it was looked at, opening it must not wait for a writer. */
const OPEN_FLAGS = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY;

let buffer: Buffer | undefined;

/** What a file is known by: a change to the content changes at least one of these. */
export interface FileIdentity {
  readonly device: string;
  readonly inode: string;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970, as decimal digits. */
  readonly modified: string;
  readonly statusChanged: string;
}

/** What to take of a file, in one pass. */
export interface DigestJob {
  readonly path: string;
  readonly algorithms: readonly Algorithm[];
  /** The digests of its blocks, too. */
  readonly blocks?: boolean;
}

export interface FileDigests {
  readonly digests: readonly Digest[];
  readonly blocks?: BlockDigests;
  readonly identity: FileIdentity;
  /** Bytes. */
  readonly size: number;
  /** Time that reading and hashing took. */
  readonly seconds: number;
}

/**
 * Digests of a regular file, links followed, in one pass and on this thread. Rejects with `invalid-request` for
 * anything that is no regular file (a FIFO or device is not opened), with `changed` when the file is not the same
 * after the last byte as before the first.
 */
export async function digestFile(job: DigestJob, signal?: AbortSignal): Promise<FileDigests> {
  const doing = `read \`${job.path}\``;
  let fd: number | undefined;
  try {
    requireFile(fs.statSync(job.path), doing);
    fd = fs.openSync(job.path, OPEN_FLAGS);
    const began = performance.now();
    const before = fs.fstatSync(fd, { bigint: true });
    requireFile(before, doing);
    const file: OpenFile = { fd, size: Number(before.size), doing };
    const made = await digestThrough(file, job, signal);
    if (!isUnchanged(before, fs.fstatSync(fd, { bigint: true }))) throw changedWhileRead(doing);
    return digested(made, before, began);
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/** What is at `path`, links followed; undefined where that cannot be told. */
export function look(path: string): fs.BigIntStats | undefined {
  try {
    return fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/**
 * The same at once, by one call of node's own, for a file that fits the buffer: making a running digest costs more than
 * a small file. Undefined where it is no such file, or no longer what was `seen`, or cannot be read:
 * {@link digestFile} tells.
 */
export function digestSmall(job: DigestJob, seen: fs.BigIntStats): FileDigests | undefined {
  const { path, algorithms, blocks } = job;
  const size = Number(seen.size);
  const [algorithm] = algorithms;
  if (size === 0 || size >= READ_BYTES || algorithms.length !== 1 || blocks || !seen.isFile())
    return undefined;
  if (algorithm !== 'sha256' && algorithm !== 'md5' && algorithm !== 'sha1' && algorithm !== 'sha512')
    return undefined;
  buffer ??= Buffer.allocUnsafeSlow(READ_BYTES);
  const began = performance.now();
  let fd: number | undefined;
  try {
    fd = fs.openSync(path, OPEN_FLAGS);
    let at = 0;
    for (let got = 1; at < size && got > 0; at += got)
      got = fs.readSync(fd, buffer, at, READ_BYTES - at, null);
    const now = fs.fstatSync(fd, { bigint: true });
    if (at !== size || now.ino !== seen.ino || now.dev !== seen.dev || !isUnchanged(seen, now))
      return undefined;
    const value = hashOnce(algorithm, buffer.subarray(0, size), 'hex');
    return digested({ digests: [{ algorithm, value }] }, seen, began);
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

function digested({ digests, blocks }: Made, stat: fs.BigIntStats, began: number): FileDigests {
  const identity = identityOf(stat);
  const seconds = (performance.now() - began) / 1000;
  return blocks
    ? { digests, blocks, identity, size: identity.size, seconds }
    : { digests, identity, size: identity.size, seconds };
}

type Made = Pick<FileDigests, 'digests' | 'blocks'>;

interface OpenFile {
  readonly fd: number;
  /** Bytes, as the file said when it was opened. */
  readonly size: number;
  readonly doing: string;
}

async function digestThrough(
  file: OpenFile,
  { algorithms, blocks }: DigestJob,
  signal: AbortSignal | undefined,
): Promise<Made> {
  const running: Running[] = [];
  for (const algorithm of algorithms) {
    const started = startDigest(algorithm);
    running.push(started instanceof Promise ? await started : started);
  }
  const inBlocks = blocks ? startBlocks() : undefined;
  const bytes = await readThrough(file, inBlocks ? [...running, inBlocks] : running, signal);
  // Files that the system makes up (/proc) have size 0 and content.
  if (bytes !== file.size && file.size > 0) throw changedWhileRead(file.doing);
  return {
    digests: algorithms.map((algorithm, at) => ({ algorithm, value: running[at]?.end() ?? '' })),
    ...(inBlocks ? { blocks: inBlocks.end() } : {}),
  };
}

async function readThrough(
  { fd, doing }: OpenFile,
  running: readonly Pick<Running, 'update'>[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const into = buffer ?? Buffer.allocUnsafeSlow(READ_BYTES);
  buffer = into;
  let at = 0;
  for (let glance = GLANCE_BYTES; ; ) {
    const got = fs.readSync(fd, into, 0, READ_BYTES, null);
    if (got === 0) return at;
    const chunk = got === READ_BYTES ? into : into.subarray(0, got);
    for (const one of running) one.update(chunk);
    at += got;
    if (at < glance) continue;
    glance = at + GLANCE_BYTES;
    // A signal reaches this thread between two turns only.
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted) throw new TransferError('canceled', `${doing}: canceled`);
  }
}

function isUnchanged(before: fs.BigIntStats, after: fs.BigIntStats): boolean {
  return before.size === after.size && before.mtimeNs === after.mtimeNs && before.ctimeNs === after.ctimeNs;
}

/** The identity of what `stat` was taken of. */
export function identityOf(stat: fs.BigIntStats): FileIdentity {
  return {
    device: String(stat.dev),
    inode: String(stat.ino),
    size: Number(stat.size),
    modified: String(stat.mtimeNs),
    statusChanged: String(stat.ctimeNs),
  };
}

/** True when nothing about the file says that its content may have changed. */
export function isSame(one: FileIdentity, other: FileIdentity): boolean {
  return (
    one.device === other.device &&
    one.inode === other.inode &&
    one.size === other.size &&
    one.modified === other.modified &&
    one.statusChanged === other.statusChanged
  );
}
