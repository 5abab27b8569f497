import { TransferError } from '../../errors.ts';
import type { Bytes } from '../../protocol.ts';
import type { Descriptor } from '../image.ts';
import { blobPieces } from './blob-pieces.ts';
import type { Asking, Registry } from './client.ts';
import { nextUrl, storedBytes, urlOf } from './upload-answers.ts';
import type { UploadNote } from './upload-notes.ts';

/**
 * Bytes of one PATCH. What a registry keeps of one that breaks off differs (Debian's ends the whole upload then), what
 * was acknowledged it keeps; so a break costs at most this much where uploads can be gone on with.
 */
export const PIECE_BYTES = 16 * 1024 * 1024;

/** Answers to a PATCH that say nothing of its bytes: they are errors for any other way to send them, too. */
const OF_THE_CALLER: ReadonlySet<number> = new Set([401, 403, 404, 429]);

/** A blob of an image, on this machine. */
export interface Blob {
  readonly descriptor: Descriptor;
  open(signal: AbortSignal): Promise<Bytes>;
}

/** Where the blobs of one image go. */
export interface UploadTarget {
  readonly registry: Registry;
  readonly repository: string;
  /** A repository of the same registry that may have the blobs already. */
  readonly from: string | undefined;
  readonly doing: string;
  readonly pieceBytes: number;
  /** The registry takes no blob in pieces. */
  isWhole: boolean;
}

export interface UploadEvents {
  /** Bytes that the registry has; fewer than none when it has lost some. */
  readonly onBytes: (bytes: number) => void;
  readonly onResume: (start: number) => void;
}

/** One upload as the registry has it. */
interface Session {
  location: URL;
  /** The first byte that it lacks. */
  at: number;
  /** Of each PATCH but the last (OCI distribution specification, `OCI-Chunk-Min-Length`). */
  readonly least: number;
  /** Somebody else sent its beginning. */
  readonly isLeft: boolean;
}

/** The tries of one blob, which go on where the last one was. */
export interface Upload {
  /** Tries once. Rejects with `unavailable` where another try may bring more. */
  send(signal: AbortSignal): Promise<'sent' | 'mounted' | 'skipped'>;
  /** Ends what the registry keeps of it, as far as that can be had. */
  cancel(signal: AbortSignal): Promise<void>;
}

/**
 * Puts one blob into a repository. Small ones go in one PUT; of larger ones (OCI distribution specification, `Pushing a
 * blob in chunks`) the registry is asked how much it has before a try goes on, also with what `note` has of an earlier
 * run, and all of it is sent where the registry has forgotten the upload or takes no pieces.
 */
export function openUpload(blob: Blob, target: UploadTarget, note: UploadNote, events: UploadEvents): Upload {
  const { registry, repository } = target;
  const { digest, size } = blob.descriptor;
  const doing = `${target.doing}: blob \`${digest}\``;
  const ask = (asking: Pick<Asking, 'method' | 'at' | 'headers' | 'body' | 'from'>, signal: AbortSignal) => {
    const whole: Asking = { repository, actions: 'pull,push', doing, signal, ...asking };
    return { whole, answer: registry.send(whole) };
  };
  let session: Session | undefined;
  let left = note.left === undefined ? undefined : urlOf(note.left, note.left);
  let counted = 0;

  function count(at: number): void {
    events.onBytes(at - counted);
    counted = at;
  }

  function forget(): void {
    session = undefined;
    count(0);
  }

  async function isThere(signal: AbortSignal): Promise<boolean> {
    const { whole, answer } = ask({ method: 'HEAD', at: `blobs/${digest}` }, signal);
    const response = await answer;
    await response.discard();
    if (response.status === 404) return false;
    if (response.status !== 200) throw await registry.refusal(response, whole, 'not found');
    const length = response.headers['content-length'];
    return length === undefined || Number(length) === size;
  }

  /** How much the registry has of the upload at `location`; undefined when it knows nothing of it. */
  async function resume(location: URL, least: number, signal: AbortSignal): Promise<Session | undefined> {
    const { whole, answer } = ask({ method: 'GET', at: location }, signal);
    const response = await answer;
    if (response.status >= 500 || response.status === 429) {
      throw await registry.refusal(response, whole, 'the registry forgot the upload');
    }
    await response.discard();
    const at = response.status === 204 ? storedBytes(response) : undefined;
    if (at === undefined || at > size) return undefined;
    return { location: nextUrl(response, doing) ?? location, at, least, isLeft: left !== undefined };
  }

  /** The new upload; undefined when the blob was taken over from another repository instead. */
  async function begin(signal: AbortSignal): Promise<Session | undefined> {
    const { from } = target;
    const mount = from === undefined ? '' : `?mount=${digest}&from=${encodeURIComponent(from)}`;
    const { whole, answer } = ask({ method: 'POST', at: `blobs/uploads/${mount}`, from }, signal);
    const response = await answer;
    if (response.status === 201 && from !== undefined) {
      await response.discard();
      return undefined;
    }
    if (response.status !== 202) throw await registry.refusal(response, whole, 'there is no such repository');
    await response.discard();
    const location = nextUrl(response, doing);
    if (!location) {
      throw new TransferError('unexpected', `${doing}: the registry does not say where to send it`);
    }
    const least = Number(response.headers['oci-chunk-min-length']) || 0;
    return { location, at: 0, least, isLeft: false };
  }

  async function sendPieces(open: Session, signal: AbortSignal): Promise<void> {
    const pieces = blobPieces(() => blob.open(signal));
    try {
      while (open.at < size) await sendPiece(open, pieces, signal);
    } finally {
      await pieces.close();
    }
  }

  async function sendPiece(
    open: Session,
    pieces: ReturnType<typeof blobPieces>,
    signal: AbortSignal,
  ): Promise<void> {
    const { at, least } = open;
    const length = Math.min(Math.max(target.pieceBytes, least), size - at);
    const headers = {
      'content-type': 'application/octet-stream',
      'content-range': `${at}-${at + length - 1}`,
    };
    const body = { size: length, open: () => pieces.at(at, length) };
    const { whole, answer } = ask({ method: 'PATCH', at: open.location, headers, body }, signal);
    const response = await answer;
    const { status } = response;
    if (status === 202 || status === 204 || status === 201) {
      await response.discard();
      const stored = response.headers.range === undefined ? at + length : storedBytes(response);
      open.location = nextUrl(response, doing) ?? open.location;
      note.keep(open.location.href);
      if (stored !== at + length) throw lost(`of ${at + length} bytes the registry has ${stored ?? 'none'}`);
      open.at = stored;
      return count(stored);
    }
    const error = await registry.refusal(response, whole, 'the registry forgot the upload');
    if (status === 404) {
      forget();
      throw lost('the registry forgot the upload');
    }
    if (status === 416 && at > 0) throw lost('the registry waits for other bytes');
    if ((status < 500 || status === 501) && !OF_THE_CALLER.has(status)) {
      target.isWhole = true;
      throw lost(`the registry takes no pieces (HTTP ${status})`);
    }
    throw error;
  }

  const lost = (what: string) => new TransferError('unavailable', `${doing}: ${what}`);

  async function finish(open: Session, isWhole: boolean, signal: AbortSignal): Promise<void> {
    const at = new URL(open.location);
    at.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream' };
    const body = isWhole ? { size, open: () => blob.open(signal) } : undefined;
    const asking = { method: 'PUT', at, headers, ...(body ? { body } : {}) } as const;
    const { whole, answer } = ask(asking, signal);
    const done = await answer;
    if (done.status === 404) {
      await done.discard();
      forget();
      throw lost('the registry forgot the upload');
    }
    if (done.status === 400 && open.isLeft) {
      // What an earlier run left there may be what is wrong.
      await done.discard();
      await cancel(signal);
      throw lost('what was left of it is not its beginning');
    }
    if (done.status !== 201) throw await registry.refusal(done, whole, 'the registry forgot the upload');
    await done.discard();
    const told = done.headers['docker-content-digest'];
    if (told?.startsWith('sha256:') && told !== digest) {
      throw new TransferError('digest-mismatch', `${doing}: the registry stored \`${told.slice(0, 80)}\``);
    }
  }

  async function cancel(signal: AbortSignal): Promise<void> {
    const location = session?.location ?? left;
    forget();
    left = undefined;
    if (!location) return;
    try {
      await (await ask({ method: 'DELETE', at: location }, signal).answer).discard();
    } catch {
      // It ends by itself in time.
    }
  }

  async function trySending(signal: AbortSignal): Promise<'sent' | 'mounted' | 'skipped'> {
    if (await isThere(signal)) {
      await cancel(signal);
      count(size);
      return 'skipped';
    }
    const isWhole = target.isWhole || size <= target.pieceBytes;
    // A whole PUT that broke off cannot be gone on with.
    if (isWhole) await cancel(signal);
    const known = session?.location ?? left;
    if (known) session = await resume(known, session?.least ?? 0, signal);
    if (session && left && session.at > 0) events.onResume(session.at);
    left = undefined;
    if (!session) {
      count(0);
      session = await begin(signal);
      if (!session) {
        count(size);
        return 'mounted';
      }
      if (!isWhole) note.keep(session.location.href);
    }
    const open = session;
    count(open.at);
    if (!isWhole) await sendPieces(open, signal);
    await finish(open, isWhole, signal);
    count(size);
    return 'sent';
  }

  return { send: trySending, cancel };
}
