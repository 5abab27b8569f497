import type { Socket } from 'node:net';
import { onAbort } from '../abort.ts';
import { TransferError, toTransferError } from '../errors.ts';
import type { Watched } from '../http/watchdog.ts';
import type { Bytes } from '../protocol.ts';
import { giveBack } from '../slabs.ts';
import type { Dialer } from './control.ts';
import { canceled, connectError, refusedData, type Work } from './dial.ts';
import { openData } from './passive.ts';
import type { Reply } from './reply.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';
import { patience, settle } from './settle.ts';

/** Progress is seen per piece: at this size the slowest link that counts as alive still shows some in time. */
const PIECE = 64 * 1024;
/** Pieces handed to the socket at a time, so that the kernel never waits for us. */
const IN_FLIGHT = 4;

export interface Storing {
  readonly session: Session;
  readonly dialer: Dialer;
  readonly work: Work;
  /** What begins the transfer: STOR or APPE with its name, after REST where it goes on in the middle. */
  readonly commands: readonly string[];
  readonly bytes: Bytes;
  /** Bytes that will come; another count is `size-mismatch`. */
  readonly size: number | undefined;
  /** The server takes bytes from now on. */
  readonly onBegin: () => void;
}

/**
 * Sends every byte and resolves with their count once the server has said that it has them, or with its refusal, before
 * a byte was asked for. Whatever breaks leaves the session settled, or closed.
 */
export async function store(storing: Storing): Promise<{ readonly count: number } | Reply> {
  const { session, dialer, work, commands, size } = storing;
  const { control } = session;
  const { socket, secured } = await openData(session, work, { seconds: dialer.timeouts.connect });
  const state: Sending = {
    socket,
    moved: 0,
    isEnding: false,
    failure: undefined,
    broken: undefined,
    wake: () => {},
  };
  socket.on('error', (error) => {
    state.broken ??= error;
    state.wake();
  });
  socket.on('close', () => state.wake());
  // TLS sessions come this way; what is not read at the end resets the connection.
  socket.resume();
  const refused = await begin(control, commands, work, state);
  if (refused) {
    socket.destroy();
    return refused;
  }
  // Not bound to the signal: the session is needed to take back what a canceled upload left.
  const last = control.next({ doing: work.doing, signal: new AbortController().signal });
  let early: Reply | undefined;
  last.reply.then(
    (reply) => {
      early = reply;
      if (reply.code >= 300 || !state.isEnding) state.failure ??= earlyError(reply, work);
      state.wake();
    },
    (error: unknown) => {
      state.failure ??= toTransferError(error, work.doing);
      state.wake();
    },
  );
  const forget = onAbort(work.signal, () => {
    state.failure ??= canceled(work);
    state.wake();
  });
  const watched = watchSending(state, work);
  dialer.watchdog.watch(watched);
  try {
    storing.onBegin();
    // What ends before TLS has begun never was a transfer.
    watched.owes = 'bytes';
    await Promise.race([secured, broke(state)]);
    throwBroken(state);
    watched.owes = 'nothing';
    const count = await sendAll(storing, state, watched);
    watched.owes = 'bytes';
    await finished(state);
    watched.owes = 'nothing';
    last.hurry();
    const reply = await last.reply;
    if (reply.code < 200 || reply.code > 299) throw replyError(reply, work.doing);
    if (size !== undefined && count < size) throw wrongSize(work, size, String(count));
    return { count };
  } catch (error) {
    const isBroken = isBrokenOff(state);
    socket.destroy();
    if (isBroken && !early)
      await Promise.race([last.reply.catch(() => undefined), resolveIn(patience(dialer))]);
    await settle(session, dialer, early ? undefined : last.reply);
    // What the server says of a connection that it broke off tells more than that it is broken.
    if (early && early.code >= 400 && isBroken) throw replyError(early, work.doing);
    throw toTransferError(error, work.doing);
  } finally {
    forget();
    dialer.watchdog.unwatch(watched);
    socket.destroy();
  }
}

interface Sending {
  readonly socket: Socket;
  /** Bytes that the kernel took. */
  moved: number;
  /** All bytes are on their way: the server may say that it has them before our own end is seen here. */
  isEnding: boolean;
  /** What ends the upload before its end. */
  failure: TransferError | undefined;
  broken: Error | undefined;
  wake: () => void;
}

async function begin(
  control: Session['control'],
  commands: readonly string[],
  work: Work,
  state: Sending,
): Promise<Reply | undefined> {
  try {
    for (const [at, command] of commands.entries()) {
      const reply = await control.ask(command, work);
      const refused = refusedData(state.broken, work);
      if (refused) throw refused;
      if (reply.code >= 400) return reply;
      if (state.broken) throw connectError(state.broken, 'the data connection', work.doing);
      if (at < commands.length - 1 ? reply.code !== 350 : reply.code >= 200) {
        throw new TransferError('unexpected', `${work.doing}: the server says ${reply.code} before any byte`);
      }
    }
    return undefined;
  } catch (error) {
    state.socket.destroy();
    control.close();
    throw error;
  }
}

function watchSending(state: Sending, { doing }: Work): Watched {
  return {
    owes: 'nothing',
    get moved() {
      return state.moved;
    },
    set moved(bytes) {
      state.moved = bytes;
    },
    seen: 0,
    silentMs: 0,
    windowMs: 0,
    windowStart: 0,
    expire(code, text) {
      state.failure ??= new TransferError(code, `${doing}: ${text}`);
      state.socket.destroy();
      state.wake();
    },
  };
}

/** Resolves when something ends the upload before it began. */
function broke(state: Sending): Promise<void> {
  return new Promise((resolve) => {
    state.wake = () => {
      if (state.failure || state.broken || state.socket.destroyed) resolve();
    };
    state.wake();
  });
}

function earlyError(reply: Reply, work: Work): TransferError {
  if (reply.code >= 400) return replyError(reply, work.doing);
  return new TransferError('unavailable', `${work.doing}: the server said done before it had every byte`);
}

function wrongSize({ doing }: Work, expected: number, got: string): TransferError {
  return new TransferError('size-mismatch', `${doing}: expected ${expected} bytes, got ${got}`);
}

async function sendAll({ bytes, size, work }: Storing, state: Sending, watched: Watched): Promise<number> {
  let count = 0;
  for await (const chunk of bytes) {
    if (size !== undefined && count + chunk.length > size) throw wrongSize(work, size, 'more');
    count += chunk.length;
    watched.owes = 'bytes';
    await sendPieces(chunk, state);
    watched.owes = 'nothing';
    giveBack(chunk);
  }
  throwBroken(state);
  if (size !== undefined && count < size) throw wrongSize(work, size, String(count));
  return count;
}

/** Resolves when the kernel has the whole chunk; rejects with what ended the upload. */
function sendPieces(chunk: Uint8Array, state: Sending): Promise<void> {
  const { socket } = state;
  return new Promise((resolve, reject) => {
    let at = 0;
    let inFlight = 0;
    function pump(): void {
      try {
        throwBroken(state);
      } catch (error) {
        state.wake = () => {};
        reject(error);
        return;
      }
      for (; inFlight < IN_FLIGHT && at < chunk.length; inFlight += 1) {
        const piece = chunk.subarray(at, at + PIECE);
        at += piece.length;
        socket.write(piece, () => {
          inFlight -= 1;
          state.moved += piece.length;
          pump();
        });
      }
      if (inFlight > 0) return;
      state.wake = () => {};
      resolve();
    }
    state.wake = pump;
    pump();
  });
}

function throwBroken({ failure, broken, socket }: Sending): void {
  if (failure) throw failure;
  if (broken || socket.destroyed) {
    throw new TransferError('unavailable', 'the data connection was closed by the other side', {
      cause: broken,
    });
  }
}

/** True where the other side closed the connection; it may do so without an error. Asked before we close it ourselves. */
function isBrokenOff({ broken, failure, socket }: Sending): boolean {
  return broken !== undefined || (socket.destroyed && failure === undefined);
}

/** Ends our half of the data connection: resolves when all of it is with the kernel. */
function finished(state: Sending): Promise<void> {
  const { socket } = state;
  return new Promise((resolve, reject) => {
    state.isEnding = true;
    state.wake = () => {
      // Some servers close their half as soon as they have ours.
      if (socket.writableFinished) return resolve();
      try {
        throwBroken(state);
      } catch (error) {
        reject(error);
      }
    };
    socket.once('finish', () => resolve());
    socket.end();
  });
}

function resolveIn(milliseconds: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, milliseconds).unref());
}
