import fs from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { formatLocation } from '../location.ts';
import type { Algorithm, Digest } from '../protocol.ts';
import { identityOf, isSame } from './digest-file.ts';
import { type ReceiptFacts, readReceipts, type SeenFile } from './receipts.ts';

/**
 * How much older than the look at it a file's last change has to be. Kernels stamp files with the time of their last
 * tick, at most 10 ms ago (`CONFIG_HZ=100`): a change in the tick of the look would not show.
 */
export const SETTLED_MS = 30;
/** The same where times are whole seconds: FAT counts in steps of two (Microsoft's FAT specification, "Date and Time"). */
const SETTLED_COARSE_MS = 2_050;
const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** Digests that were made earlier, of a file that nothing says was changed since. */
export interface Reused {
  readonly digests: readonly Digest[];
  /** Bytes. */
  readonly size: number;
  /** Who says so: ``receipt `done.jsonl` line 3 of 2026-11-28T10:00:00.000Z``. */
  readonly from: string;
}

/** What earlier runs wrote down, for whoever asked to rely on it. */
export interface Trusted {
  /**
   * What is known of the file at this path, when it includes all of `algorithms` and the file is readable, on no network
   * file system, and by device, inode, size and both times what it was. Never throws.
   */
  find(path: string, algorithms: readonly Algorithm[]): Reused | undefined;
}

interface Known {
  readonly facts: ReceiptFacts;
  readonly file: SeenFile;
  readonly from: string;
}

/**
 * What receipts files of this machine say of its files. Throws `invalid-request` for one whose chain is broken, which
 * has lines that are no receipts, or which everybody may write to: what it says may be anybody's.
 */
export function openTrusted(
  paths: readonly string[],
  { isSlow, now = Date.now }: { readonly isSlow: (path: string) => boolean; readonly now?: () => number },
): Trusted {
  const known = new Map<string, Known>();
  for (const path of paths) readOne(path, known);
  return {
    find(path, algorithms) {
      const name = formatLocation({ scheme: 'file', authority: '', path: resolve(path), site: '' });
      const found = known.get(name);
      if (!found || !isSettled(found.file) || isSlow(resolve(path))) return undefined;
      const digests: Digest[] = [];
      for (const algorithm of algorithms) {
        const digest = found.facts.digests.find((one) => one.algorithm === algorithm);
        if (!digest) return undefined;
        digests.push(digest);
      }
      if (!isUnchanged(path, found.file, now())) return undefined;
      return { digests, size: found.file.size, from: found.from };
    },
  };
}

function readOne(path: string, known: Map<string, Known>): void {
  const doing = `trust \`${path}\``;
  const host = hostname();
  for (const { line, receipt, problem, isTorn } of readReceipts(readSafely(path, doing))) {
    // Half a line that a killed run left says nothing, and nothing wrong.
    if (isTorn) continue;
    if (problem !== undefined) {
      throw new TransferError('invalid-request', `${doing}: line ${line}: ${problem}`, {
        hint: `\`bridle verify --receipts ${path}\` reads every file again`,
      });
    }
    // What was relied on already stands in the receipt that it was made for.
    if (!receipt || receipt.isReused) continue;
    const { destination, file, ended, host: where } = receipt;
    const from = `receipt \`${path}\` line ${line} of ${ended ?? 'an unknown time'}`;
    // What was written last is what counts, also when that cannot be relied on.
    if (file && where === host) known.set(destination, { facts: receipt, file, from });
    else known.delete(destination);
  }
}

function readSafely(path: string, doing: string): Uint8Array {
  let fd: number | undefined;
  try {
    fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new TransferError('invalid-request', `${doing}: expected a regular file`);
    if ((stat.mode & 0o002) !== 0) {
      throw new TransferError('invalid-request', `${doing}: everybody may write to it`, {
        hint: `\`chmod o-w ${path}\`, if it is still what it was`,
      });
    }
    return fs.readFileSync(fd);
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/** The file was looked at so long after its last change that a later one has another time (git calls others racy). */
function isSettled({ seen, modified, statusChanged }: SeenFile): boolean {
  if (seen === undefined) return false;
  const status = BigInt(statusChanged);
  const margin = status % NS_PER_SECOND === 0n ? SETTLED_COARSE_MS : SETTLED_MS;
  const looked = (BigInt(Date.parse(seen)) - BigInt(margin)) * NS_PER_MS;
  return BigInt(modified) <= looked && status <= looked;
}

/** Opened, not only looked at: what cannot be read is not known to be there. */
function isUnchanged(path: string, file: SeenFile, now: number): boolean {
  let fd: number | undefined;
  try {
    if (!fs.statSync(path).isFile()) return false;
    fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
    const stat = fs.fstatSync(fd, { bigint: true });
    // A clock that was set back may give a time a second time.
    if (stat.ctimeNs / NS_PER_MS > BigInt(now)) return false;
    return stat.isFile() && isSame(identityOf(stat), file);
  } catch {
    return false;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}
