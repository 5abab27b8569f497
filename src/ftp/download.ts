import type { Socket } from 'node:net';
import { onAbort } from '../abort.ts';
import { TransferError, toTransferError } from '../errors.ts';
import {
  acceptCopy,
  acceptRead,
  bytesOf,
  createIncoming,
  dropBody,
  endBody,
  failBody,
  type Incoming,
  isFull,
  readTarget,
  type Verdict,
} from '../http/incoming.ts';
import { createWatched } from '../http/watchdog.ts';
import type { Bytes } from '../protocol.ts';
import type { Dialer } from './control.ts';
import { canceled, connectError, refusedData, type Work } from './dial.ts';
import { openData } from './passive.ts';
import type { Reply } from './reply.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';
import { patience, settle } from './settle.ts';

/** Memory for small files and for what should not come any more. */
const OWN_BUFFER = 64 * 1024;

export interface Retrieval {
  readonly session: Session;
  readonly dialer: Dialer;
  readonly work: Work;
  /** RETR, MLSD or LIST with its argument. */
  readonly command: string;
  readonly start: number;
  /** Bytes to come; undefined when nobody knows. */
  readonly length: number | undefined;
  /** The server would send more: the connection is closed after `length`. */
  readonly isPrefix: boolean;
}

export interface Download {
  readonly bytes: Bytes;
  /** Ends interest in the bytes. Resolves when the session is settled. */
  discard(): Promise<void>;
  /** Resolves once the session may be used again, or is closed. Never rejects. */
  readonly over: Promise<void>;
}

/**
 * Starts one transfer towards us: resolves when the server has said that it begins, rejects with its refusal. The bytes
 * end when the data connection has ended, all bytes that were promised have come, and the control connection has said
 * that the transfer is complete: each alone also happens to files that were cut.
 */
export async function retrieve(retrieval: Retrieval): Promise<Download> {
  const { session, dialer, work, command, start, length } = retrieval;
  const { control } = session;
  let socket: Socket | undefined;
  let hasEnded = false;
  /** Every byte that was wanted is here. */
  let isTail = false;
  let hasExtra = false;
  let final: Reply | undefined;
  let isOver = false;
  let inBody = false;
  let broken: Error | undefined;
  let late: NodeJS.Timeout | undefined;
  let finish: () => void = () => {};
  const over = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const own = Buffer.allocUnsafeSlow(OWN_BUFFER);
  const body: Incoming = createIncoming(
    length === undefined ? { kind: 'close' } : { kind: 'length', length },
    {
      wanted() {
        if (watched.owes === 'nothing' && !hasEnded) watched.owes = 'bytes';
        socket?.resume();
      },
      left: () => void leave(),
    },
  );
  const watched = createWatched('nothing', (code, text) =>
    fail(new TransferError(code, `${work.doing}: ${text}`)),
  );

  /** The one end of it all: whatever the bytes came to, the session is settled or closed behind them. */
  async function end(how: 'clean' | 'unsettled' | 'lost'): Promise<void> {
    if (isOver) return;
    isOver = true;
    clearTimeout(late);
    forget();
    dialer.watchdog.unwatch(watched);
    socket?.destroy();
    if (how === 'lost') control.close();
    else if (how === 'unsettled') await settle(session, dialer, final ? undefined : reply);
    finish();
  }

  function fail(error: TransferError, how: 'clean' | 'lost' = 'lost'): void {
    failBody(body, error);
    void end(how);
  }

  async function leave(): Promise<void> {
    dropBody(body);
    await end('unsettled');
  }

  /** What the bytes so far have settled. Not before the server has said that it begins: its answers would be mixed up. */
  function judge(verdict: Verdict): void {
    if (verdict !== 'more') isTail = true;
    if (verdict === 'extra') hasExtra = true;
    if (!reply || isOver || !isTail) return;
    if (retrieval.isPrefix) {
      endBody(body);
      void end('unsettled');
    } else if (hasExtra) {
      fail(new TransferError('size-mismatch', `${work.doing}: more than the ${length} bytes promised came`));
    }
  }

  function endedEarly(): TransferError {
    const text = `the data connection ended after ${body.received} of ${length} bytes`;
    return new TransferError('unavailable', `${work.doing}: ${text}`);
  }

  /** Both connections have had their say. */
  function conclude(): void {
    if (isOver || !final) return;
    const isDone = final.code >= 200 && final.code < 300;
    if (!isDone) {
      const text = `${work.doing}: after ${body.received} bytes`;
      // 426 and 451 come when the other side, or somebody between, broke it off.
      fail(replyError(final, text), 'clean');
    } else if (hasEnded && length !== undefined && body.received < length) {
      fail(endedEarly(), 'clean');
    } else if (hasEnded) {
      endBody(body);
      void end('clean');
    }
  }

  function buffer(): Uint8Array {
    const target = isTail || isOver ? undefined : readTarget(body);
    inBody = target !== undefined;
    // Never without room: Node's TLS reads into an empty buffer for ever.
    return target ?? own;
  }

  function callback(count: number): boolean {
    watched.moved += count;
    if (isOver) return true;
    if (isTail) judge('extra');
    else judge(inBody ? acceptRead(body, count) : acceptCopy(body, own.subarray(0, count)));
    if (isOver || !isFull(body)) return true;
    watched.owes = 'nothing';
    return false;
  }

  let forget = () => {};
  let reply: Promise<Reply> | undefined;
  const opened = await openData(session, work, {
    seconds: dialer.timeouts.connect,
    onread: { buffer, callback },
  });
  socket = opened.socket;
  try {
    socket.on('error', (error) => {
      broken ??= error;
      if (!isOver && reply) fail(dataError(error, work, body.received));
    });
    if (start > 0) {
      const rest = await control.ask(`REST ${start}`, work);
      if (rest.code !== 350) throw restError(rest, work.doing);
    }
    const first = await control.ask(command, work);
    // A server that refuses closes the data connection too: its words tell more, but for a certificate that we refused.
    if (first.code >= 300) throw refusedData(broken, work) ?? replyError(first, work.doing);
    if (broken) {
      // The rest of what the server has to say would be taken for the next answer.
      control.close();
      throw dataError(broken, work, 0);
    }
    // Some say at once that it is done when there is nothing to send.
    const last = first.code >= 200 ? { reply: Promise.resolve(first), hurry: () => {} } : control.next(work);
    reply = last.reply;
    const ended = () => {
      if (hasEnded) return;
      hasEnded = true;
      watched.owes = 'nothing';
      last.hurry();
      conclude();
      // It cannot end well any more: only the reason is still of interest. (A reset may look like an end in order: libuv
      // makes one of the other when bytes come with it.)
      if (!isOver && length !== undefined && body.received < length) {
        late = setTimeout(() => fail(endedEarly()), patience(dialer));
      }
    };
    socket.on('end', ended);
    socket.on('close', ended);
    if (socket.destroyed || socket.readableEnded) ended();
    forget = onAbort(work.signal, () => fail(canceled(work)));
    watched.owes = hasEnded || isFull(body) ? 'nothing' : 'bytes';
    dialer.watchdog.watch(watched);
    judge('more');
    reply.then(
      (answer) => {
        final = answer;
        conclude();
      },
      (error: unknown) => fail(toTransferError(error, work.doing)),
    );
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return { bytes: settled(body, over), over, discard: leave };
}

/** The bytes. Their end, however it comes, waits for the session: what the reader does next can have it. */
function settled(body: Incoming, over: Promise<void>): Bytes {
  return {
    [Symbol.asyncIterator]() {
      const inner = bytesOf(body)[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const step = await inner.next();
            if (step.done) await over;
            return step;
          } catch (error) {
            await over;
            throw error;
          }
        },
        async return() {
          await inner.return?.();
          await over;
          return { done: true, value: undefined };
        },
      };
    },
  };
}

function dataError(error: Error, work: Work, received: number): TransferError {
  const known = connectError(error, 'the data connection', work.doing);
  if (known.code === 'permission-denied') return known;
  const text = `${work.doing}: the data connection broke after ${received} bytes`;
  return new TransferError('unavailable', text, { cause: error });
}

function restError(reply: Reply, doing: string): TransferError {
  if (reply.code < 500) return replyError(reply, doing);
  return new TransferError('range-ignored', `${doing}: the server cannot begin in the middle of a file`);
}
