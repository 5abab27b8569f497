import { isMismatch, TransferError } from '../errors.ts';
import { declaredDigests } from '../http/digest-fields.ts';
import { newNonce } from '../local/writer.ts';
import { plainPartialName } from '../partial-name.ts';
import type { Bytes, Digest, Staged, Stat, WriteCall } from '../protocol.ts';
import { ensureParent } from './collections.ts';
import { parentPath } from './paths.ts';
import { askSize } from './propfind.ts';
import { put, wholeFields } from './put.ts';
import { cannotGoOn, PIECE, type Ranged, rangeFields, readPiece, storesRange } from './ranged.ts';
import type { DavService } from './service.ts';
import { dropStaged, requireFilePath, stagedFile } from './staged.ts';
import { type Begun, begin, inMemory, type Upload, uploadOf } from './upload.ts';
import { keptKey } from './uploads.ts';

/** What was sent: bytes of the whole, and the digests that the server told of them. */
interface Sent {
  readonly count: number;
  readonly digests: readonly Digest[];
}

/** One write: where it goes, and whether the server may have something of it. */
interface Writing extends Ranged {
  readonly name: string;
  readonly call: WriteCall;
  isBegun: boolean;
  /** What is there can be gone on with. */
  isOfUse: boolean;
}

/**
 * Stores the bytes under a name of ours beside the destination, counts them there, and leaves the MOVE to commit. A
 * failure takes them away again, or keeps them where a later try is to go on and the server is seen to store ranges in
 * their place.
 */
export async function writeFile(
  service: DavService,
  path: string,
  bytes: Bytes,
  call: WriteCall,
): Promise<Staged> {
  const doing = `write \`${service.origin}${path}\``;
  requireFilePath(path, doing);
  const name = call.resume?.handle ?? plainPartialName(call.key, newNonce());
  const partial = parentPath(path) + name;
  const { signal, retry } = call;
  const isBegun = call.resume !== undefined;
  const writing: Writing = { service, partial, name, doing, signal, retry, call, isBegun, isOfUse: isBegun };
  const { held, kept } = service.uploads;
  const letGo = async (keep: boolean) => {
    held.delete(partial);
    if (keep) kept.set(keptKey(path, call.key), name);
    else await dropStaged(service, partial);
  };
  held.add(partial);
  try {
    const sent = await (call.resume ? sendRest(writing, bytes) : sendAll(writing, bytes));
    const stored = await count(writing, sent.count);
    const digests = [...sent.digests, ...(stored.digests ?? [])];
    const mayKeep = call.onPartial !== undefined && writing.isOfUse;
    const close = (keep: boolean) => letGo(keep && mayKeep);
    const onMoved = () => void held.delete(partial);
    return stagedFile(service, { partial, path, size: stored.size, digests, retry, mayKeep, close, onMoved });
  } catch (error) {
    held.delete(partial);
    // Wrong content is of no use to a later try.
    const keep = call.onPartial !== undefined && writing.isOfUse && !isMismatch(error);
    if (writing.isBegun) await letGo(keep);
    throw error;
  }
}

async function sendAll(writing: Writing, bytes: Bytes): Promise<Sent> {
  const { service, call, doing } = writing;
  const { uploads } = service;
  const upload = await uploadOf(bytes, call.size, doing);
  const mayResume = call.onPartial !== undefined && uploads.takesRanges !== false;
  if (upload.isHeld || !mayResume) {
    if (mayResume) keepName(writing);
    return sendWhole(writing, upload);
  }
  const begun = await begin(upload, 2 * PIECE);
  try {
    if (!(await takesRanges(writing, begun))) return await sendWhole(writing, begun.from(0));
    keepName(writing);
    // Without its size nothing can be sent as a range.
    if (call.size === undefined) return await sendWhole(writing, begun.from(0));
    return await sendFrom(writing, { start: PIECE, size: call.size, upload: begun.from(PIECE) });
  } finally {
    await begun.leave();
  }
}

/** From now on a later try may ask for what is there. */
function keepName(writing: Writing): void {
  writing.isOfUse = true;
  writing.call.onPartial?.(writing.name);
}

/**
 * The partial holds the first bytes and the server was seen, now or earlier, to store a range behind them. What is cut
 * off while it makes a new file is thrown away by Apache, and what it writes into one that is there is not.
 */
async function takesRanges(writing: Writing, { head }: Begun): Promise<boolean> {
  const { service, call, doing } = writing;
  const { uploads } = service;
  await ensureParent(service, writing.partial, call.signal);
  writing.isBegun = true;
  const some = head.subarray(0, PIECE + PIECE / 2);
  const first = inMemory([some], some.length);
  await call.retry((signal) => put(service, writing.partial, first, { headers: {}, doing, signal }));
  // Over bytes that are there and behind them: who appends, ignores or replaces has another size then.
  const place = { found: head, from: 0, start: PIECE, length: head.length, size: call.size ?? '*' } as const;
  uploads.takesRanges ??= await storesRange(writing, place);
  return uploads.takesRanges;
}

async function sendWhole(writing: Writing, upload: Upload): Promise<Sent> {
  const { service, partial, call, doing } = writing;
  const send = async (signal: AbortSignal) => {
    try {
      return await put(service, partial, upload, { headers: wholeFields(call), doing, signal });
    } finally {
      writing.isBegun ||= upload.wasTouched();
    }
  };
  // A small body is held in memory and can be sent again; a large one is the engine's to begin anew.
  const answer = await (upload.isHeld ? call.retry(send) : send(call.signal));
  return { count: upload.count(), digests: declaredDigests(answer.headers).whole };
}

/** Goes on behind what was proven to be there, and looks at the place where old and new bytes meet. */
async function sendRest(writing: Writing, bytes: Bytes): Promise<Sent> {
  const { service, call, doing } = writing;
  const { uploads } = service;
  const { size } = call;
  const start = call.resume?.ranges[0]?.end ?? 0;
  keepName(writing);
  const upload = await uploadOf(bytes, size === undefined ? undefined : size - start, doing);
  if (size === start) return { count: start, digests: [] };
  const begun = await begin(upload, PIECE);
  try {
    const before = start < 2 * PIECE ? undefined : await readPiece(writing, start - PIECE, start);
    if (before && size !== undefined && uploads.takesRanges === undefined) {
      // With bytes that are there already: whatever becomes of them, nothing is lost but the partial.
      const from = start - PIECE;
      const { size: length = 0 } = await askSize(service, writing.partial, call.signal);
      uploads.takesRanges = await storesRange(writing, { found: before, from, start: from, length, size });
    }
    if (!before || size === undefined || !uploads.takesRanges) throw goOnAnew(writing);
    const sent = await sendFrom(writing, { start, size, upload: begun.from(0) });
    const joined = Buffer.concat([before, begun.head]);
    const found = await readPiece(writing, start - PIECE, start + begun.head.length);
    if (!found?.equals(joined)) throw goOnAnew(writing);
    return sent;
  } finally {
    await begun.leave();
  }
}

/** The rest of the file in one PUT to its place. */
async function sendFrom(
  { service, partial, call, doing }: Writing,
  rest: { readonly start: number; readonly size: number; readonly upload: Upload },
): Promise<Sent> {
  const { start, size, upload } = rest;
  // A digest of the whole says nothing of a part.
  const headers = { ...wholeFields({ ...call, expected: [] }), ...rangeFields(start, size, size) };
  await put(service, partial, upload, { headers, doing, signal: call.signal });
  return { count: size, digests: [] };
}

function goOnAnew(writing: Writing): TransferError {
  writing.isOfUse = false;
  return cannotGoOn(writing.doing);
}

/** How much the server has, before anybody can see it. Rejects with `size-mismatch` when that is not what was sent. */
async function count({ service, partial, doing, signal }: Writing, sent: number): Promise<Stat> {
  const stat = await askSize(service, partial, signal);
  if (stat.size === undefined || stat.size === sent) return stat;
  // Whatever it was, the next try sends the whole.
  if (service.uploads.takesRanges) service.uploads.takesRanges = false;
  throw new TransferError('size-mismatch', `${doing}: sent ${sent} bytes, the server has ${stat.size}`);
}
