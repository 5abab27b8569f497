import fs from 'node:fs';
import { constants } from 'node:os';
import { TransferError } from '../errors.ts';
import { type DigestJob, type FileDigests, identityOf, isSame } from '../integrity/digest-file.ts';
import { digestFiles } from '../integrity/digest-pool.ts';
import { type ByteText, toPath } from './byte-text.ts';
import { look, type NamedFile } from './look.ts';
import type { FileEntry, Output } from './record-file.ts';
import type { WrittenDigest } from './tail-hash.ts';

/** Takes the digests that were made while files were written. */
export type AsWritten = (file: NamedFile) => WrittenDigest | undefined;

/**
 * Looks at outputs and digests them, several at a time, in their order. What is not there or no regular file has an
 * error instead; a directory has no digest, and what `signal` comes before has none either.
 */
export async function lookAtOutputs(
  files: readonly NamedFile[],
  { asWritten, signal }: { readonly asWritten?: AsWritten | undefined; readonly signal?: AbortSignal } = {},
): Promise<Output[]> {
  const opened: number[] = [];
  try {
    const outputs: Output[] = [];
    const jobs: { readonly at: number; readonly job: DigestJob }[] = [];
    for (const [at, file] of files.entries()) {
      const entry = requireFile(look({ kind: 'file', path: file.path }, file.lfn));
      outputs.push({ entry });
      if (entry.errno !== undefined) continue;
      const made = asWritten?.(file);
      if (made && entry.stat && isSame(made.identity, identityOf(entry.stat))) {
        outputs[at] = { entry, sha256: made.sha256, seconds: made.seconds, method: 'as-written' };
        continue;
      }
      const path = readablePath(file.path, opened);
      if (path === undefined) outputs[at] = { entry, isUnread: true };
      else jobs.push({ at, job: { path, algorithms: ['sha256'] } });
    }
    await digestInto(outputs, jobs, { isToldHow: asWritten !== undefined, signal });
    return outputs;
  } finally {
    for (const fd of opened) fs.closeSync(fd);
  }
}

async function digestInto(
  outputs: Output[],
  jobs: readonly { readonly at: number; readonly job: DigestJob }[],
  { isToldHow, signal }: { readonly isToldHow: boolean; readonly signal: AbortSignal | undefined },
): Promise<void> {
  if (jobs.length === 0) return;
  let next = 0;
  const files = jobs.map(({ job }) => job);
  try {
    for await (const { result } of digestFiles(files, { signal })) {
      const { at } = jobs[next] as { at: number };
      next += 1;
      const { entry } = outputs[at] as Output;
      outputs[at] = { ...digested(entry, result), ...(isToldHow ? { method: 'full-pass' as const } : {}) };
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
  for (const { at } of jobs.slice(next)) outputs[at] = { ...(outputs[at] as Output), isUnread: true };
}

function digested(entry: FileEntry, result: FileDigests | TransferError): Output {
  if (result instanceof TransferError) return { entry, isUnread: true };
  // What the record says of the file is of the very content that was digested.
  if (!entry.stat || !isSame(identityOf(entry.stat), result.identity)) return { entry, isUnread: true };
  return { entry, sha256: result.digests[0]?.value ?? '', seconds: result.seconds };
}

/** A directory has no content that a digest could be of. */
function requireFile(entry: FileEntry): FileEntry {
  if (!entry.stat || entry.stat.isFile()) return entry;
  const { EISDIR, EINVAL } = constants.errno;
  return { ...entry, errno: entry.stat.isDirectory() ? EISDIR : EINVAL };
}

/** Names that are no text have no place in a message to a thread: an open file has one. */
function readablePath(path: ByteText, opened: number[]): string | undefined {
  const name = toPath(path);
  if (typeof name === 'string') return name;
  try {
    const fd = fs.openSync(name, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
    opened.push(fd);
    return `/proc/self/fd/${fd}`;
  } catch {
    return undefined;
  }
}
