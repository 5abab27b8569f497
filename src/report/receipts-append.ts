import { closeSync, openSync, realpathSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { TransferError, toTransferError } from '../errors.ts';
import { chainedLine, chainOf, isTornLine, type Receipt } from '../integrity/receipts.ts';
import { type LockWait, withLock } from './lock-file.ts';

const NEWLINE = 0x0a;
/** Bytes read at a time from the end of the file: a line is shorter. */
const TAIL_BYTES = 16 * 1024;

/** Makes the file when there is none. Its real path; throws a `TransferError` when it cannot be a receipts file. */
export function openReceipts(path: string): string {
  const doing = `appending to \`${path}\``;
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && !stat.isFile())
      throw new TransferError('invalid-request', `${doing}: expected a regular file`);
    closeSync(openSync(path, 'a'));
    // Two names of one file must be one lock.
    return realpathSync(path);
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

/** Rejects with `invalid-request` when the end of the file is no receipt: nothing is appended to another kind of file. */
export async function requireReceipts(path: string): Promise<void> {
  const doing = `appending to \`${path}\``;
  try {
    await withFile(path, 'r', (handle) => readEnd(handle, doing));
  } catch (error) {
    // Another run that cuts off a torn line meanwhile: what stays is whole lines.
    if (error instanceof TransferError && error.code === 'changed') return;
    throw toTransferError(error, doing);
  }
}

/**
 * Chains the receipts behind the last line of the file; they are on the disk when it resolves, and the file is as before
 * when it rejects. What a killed writer left of a line was acknowledged to nobody: it is cut off, and told as the number
 * of bytes that were.
 */
export function appendReceipts(
  path: string,
  receipts: readonly Receipt[],
  wait: LockWait,
): Promise<{ readonly torn: number }> {
  const doing = `appending to \`${path}\``;
  const append = async (handle: FileHandle) => {
    const end = await readEnd(handle, doing);
    let { chain } = end;
    let text = '';
    for (const receipt of receipts) {
      const chained = chainedLine(receipt, chain);
      text += chained.line;
      chain = chained.chain;
    }
    if (end.torn > 0) await handle.truncate(end.size);
    await writeWhole(handle, Buffer.from(text), end.size);
    return { torn: end.torn };
  };
  return withLock(`${path}.lock`, wait, async () => {
    try {
      return await withFile(path, 'r+', append);
    } catch (error) {
      throw toTransferError(error, doing);
    }
  });
}

async function withFile<T>(
  path: string,
  flags: string,
  work: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await open(path, flags);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

async function writeWhole(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  try {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
    await handle.datasync();
  } catch (error) {
    // The failure itself is what is told; a piece that stays is cut off by the next writer.
    await handle.truncate(at).catch(() => undefined);
    throw error;
  }
}

interface End {
  /** Chain value of the last whole line; undefined when there is none. */
  readonly chain: string | undefined;
  /** Bytes of whole lines. */
  readonly size: number;
  /** Bytes behind them. */
  readonly torn: number;
}

async function readEnd(handle: FileHandle, doing: string): Promise<End> {
  const { size: whole } = await handle.stat();
  let tail = Buffer.alloc(0);
  let from = whole;
  // Until the newline before the last whole line is seen, else the beginning of the file.
  while (from > 0 && newlineBefore(tail, tail.lastIndexOf(NEWLINE)) === -1) {
    const length = Math.min(TAIL_BYTES, from);
    from -= length;
    const piece = Buffer.alloc(length);
    const { bytesRead } = await handle.read(piece, 0, length, from);
    if (bytesRead < length)
      throw new TransferError('changed', `${doing}: it became shorter while it was read`);
    tail = Buffer.concat([piece, tail]);
  }
  const last = tail.lastIndexOf(NEWLINE);
  const torn = tail.subarray(last + 1);
  if (torn.length > 0 && !isTornLine(torn.toString())) throw foreign(doing);
  if (last === -1) return { chain: undefined, size: 0, torn: torn.length };
  const line = tail.subarray(newlineBefore(tail, last) + 1, last).toString();
  const chain = chainOf(line);
  if (chain === undefined) throw foreign(doing);
  return { chain, size: whole - torn.length, torn: torn.length };
}

/** Of the newline before the one at `at`; -1 when there is none. */
function newlineBefore(bytes: Buffer, at: number): number {
  return at <= 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1);
}

function foreign(doing: string): TransferError {
  return new TransferError('invalid-request', `${doing}: its last line is no receipt`, {
    hint: 'name a new file; `bridle verify --receipts FILE` tells what is the matter with this one',
  });
}
