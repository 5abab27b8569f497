import { statSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { type FileIdentity, identityOf, isSame } from '../integrity/digest-file.ts';
import type { Receipt } from '../integrity/receipts.ts';
import { SETTLED_MS } from '../integrity/trusted.ts';
import { formatLocation, LOCAL_SCHEMES, type Location } from '../location.ts';
import type { Outcome, UrlRest } from '../outcome.ts';
import { fileVersion } from '../regular-file.ts';
import type { Clock, Consumer, Write } from './consumer.ts';
import { isoTime } from './outcome-json.ts';
import { appendReceipts, openReceipts, requireReceipts } from './receipts-append.ts';
import { urlText } from './url-text.ts';

/** Receipts are written when so many are waiting, or the first has waited for so long. */
const BATCH = 256;
const LONGEST_WAIT_MS = 1000;
/** How long a live writer of another run may hold the file. */
const LOCK_MS = 60_000;
/** How often it is waited until files have settled. */
const ROUNDS = 4;

type Sleep = (milliseconds: number) => Promise<unknown>;

export interface ReceiptsOptions {
  readonly path: string;
  readonly version: string;
  readonly now: Clock;
  /** Takes a line with its newline. */
  readonly warn: Write;
  /** Waits, perhaps a little less than told. */
  readonly sleep?: Sleep;
}

/**
 * Appends a receipt for every file that is done, in the order in which they ended, in batches. Rejects with
 * `invalid-request` for a file that is not one of receipts. Closing rejects with a `TransferError` that says how many
 * could not be written.
 */
export async function receiptsFile({
  path,
  version,
  now,
  warn,
  sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
}: ReceiptsOptions): Promise<Consumer> {
  const file = openReceipts(path);
  await requireReceipts(file);
  const who = { bridle: version, host: hostname(), user: userName() };
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();
  let lost = 0;
  let failure: TransferError | undefined;

  async function write(): Promise<void> {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    try {
      // After one failure the rest would wait as long for the same.
      if (failure) throw failure;
      await settled(batch, sleep);
      const { torn } = await appendReceipts(file, batch.map(seenAgain), { longest: LOCK_MS, now });
      if (torn > 0)
        warn(`warning: \`${path}\`: cut off ${torn} bytes that a killed writer left of a last line\n`);
    } catch (error) {
      failure ??= toTransferError(error, `appending to \`${path}\``);
      if (lost === 0) warn(`warning: receipts are not written: ${failure.message}\n`);
      lost += batch.length;
    }
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(write);
  }

  return {
    event(event) {
      if (event.type !== 'item-ended') return;
      const { outcome } = event;
      if (outcome.kind !== 'transfer' || outcome.status !== 'done') return;
      // Nothing stays of standard output that could be verified again.
      if (outcome.destination.scheme === 'stdio') return;
      waiting.push({ receipt: receiptOf(outcome, who, now()), outcome });
      if (waiting.length === BATCH) flush();
      else timer ??= setTimeout(flush, LONGEST_WAIT_MS);
    },
    async close() {
      flush();
      await writing;
      if (failure) throw notWritten(failure, lost);
    },
  };
}

interface Waiting {
  readonly receipt: Receipt;
  readonly outcome: Outcome;
}

/** Waits until a change to any of the files would show in its times. */
async function settled(batch: readonly Waiting[], sleep: Sleep): Promise<void> {
  const changes = batch.map(({ receipt }) => Number(BigInt(receipt.file?.statusChanged ?? 0) / 1_000_000n));
  const until = changes.reduce((last, one) => Math.max(last, one), 0) + SETTLED_MS + 1;
  // Timers of Node end up to a millisecond early. A clock that was set back is not waited for.
  for (let round = 0; round < ROUNDS; round += 1) {
    const wait = until - Date.now();
    if (wait <= 0) return;
    await sleep(Math.min(wait, SETTLED_MS + 1));
  }
}

/** A file that is still what it was when it was done can be relied on later; another one's receipt says nothing of that. */
function seenAgain({ receipt, outcome: { destination, versions } }: Waiting): Receipt {
  const { file } = receipt;
  // Without a look in the moment of its renaming, it may have been changed before the first one.
  if (!file || versions?.destination !== versionOf(file)) return receipt;
  const seen = isoTime(Date.now());
  const still = identityAt(destination);
  return still && isSame(still, file) ? { ...receipt, file: { ...file, seen } } : receipt;
}

function versionOf(file: FileIdentity): string {
  const { device, inode, size, modified, statusChanged } = file;
  return fileVersion({ dev: device, ino: inode, size, mtimeNs: modified, ctimeNs: statusChanged });
}

function notWritten(failure: TransferError, lost: number): TransferError {
  const files = lost === 1 ? 'a file that is done has' : `${lost} files that are done have`;
  const { code, message, hint } = failure;
  return new TransferError(code, `${message}; ${files} no receipt`, {
    cause: failure,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What is known of a file that is done. */
export function receiptOf(outcome: Outcome, who: Receipt['who'], ended: number): Receipt {
  const { attempts, destination, versions, lfn, rest } = outcome;
  const started = attempts[0]?.started ?? ended - outcome.seconds * 1000;
  const file = identityAt(destination);
  return {
    attempts: attempts.length,
    destination: placeText(destination, rest?.destination),
    digests: outcome.digests,
    ended: isoTime(ended),
    ...(file ? { file } : {}),
    ...(lfn === '' ? {} : { lfn }),
    size: file?.size ?? outcome.bytes,
    source: placeText(outcome.source, rest?.source),
    started: isoTime(started),
    verification: { source: outcome.sourceVerification, destination: outcome.destinationVerification },
    ...(versions ? { versions: known(versions) } : {}),
    who,
  };
}

function known({ source, destination }: NonNullable<Outcome['versions']>) {
  return {
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
  };
}

/** A path of this machine from its root: the receipt is read from elsewhere. */
function placeText(location: Location, rest: UrlRest | undefined): string {
  if (!LOCAL_SCHEMES.has(location.scheme)) return urlText(location, rest);
  return formatLocation({ ...location, path: resolve(location.path) });
}

function identityAt({ scheme, path }: Location): FileIdentity | undefined {
  if (!LOCAL_SCHEMES.has(scheme)) return undefined;
  try {
    const stat = statSync(path, { bigint: true });
    return stat.isFile() ? identityOf(stat) : undefined;
  } catch {
    return undefined;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A uid without an account, as containers have it.
    return String(process.getuid?.() ?? '');
  }
}
