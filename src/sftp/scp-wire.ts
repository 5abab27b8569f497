import type { Readable, Writable } from 'node:stream';
import { onAbort } from '../abort.ts';
import { FULL_HINT, TransferError } from '../errors.ts';
import { createPatience } from './patience.ts';
import type { SshStreams } from './ssh-process.ts';

/** Bytes of a line of the protocol; names have at most 4,096. */
const MAX_LINE = 16 * 1024;

/** A conversation with the other side's `scp`: lines, single bytes and data, in order. */
export interface ScpTalk {
  /** The next byte is 0; rejects with the message that the other side sent instead. */
  acknowledged(): Promise<void>;
  /** A line, without its end. */
  line(): Promise<string>;
  /** Up to `most` bytes, at least one. */
  data(most: number): Promise<Uint8Array>;
  send(bytes: Uint8Array | string): Promise<void>;
  /** Nothing more is wanted of it; resolves when nothing of it runs here any more. */
  close(): Promise<void>;
}

/** What `scp -f` says of a file before its bytes. */
export interface ScpHead {
  readonly size: number;
  readonly mode: number;
  /** Seconds since 1970. */
  readonly modified: number | undefined;
}

/** Silence of `stallSeconds` while something is due, and an abort, end the conversation. */
export function talkScp(
  streams: SshStreams,
  how: { readonly doing: string; readonly stallSeconds: number; readonly signal: AbortSignal },
): ScpTalk {
  const { doing, stallSeconds, signal } = how;
  const { input, output } = streams;
  let broken: TransferError | undefined;
  const breakOff = (error: TransferError) => {
    broken ??= error;
    output.destroy();
    streams.kill();
  };
  const patience = createPatience((text, code) => breakOff(new TransferError(code, `${doing}: ${text}`)));
  const leave = onAbort(signal, () => breakOff(new TransferError('canceled', `${doing}: canceled`)));
  const source = output.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rest: Buffer = Buffer.alloc(0);

  async function due<T>(work: () => Promise<T>): Promise<T> {
    patience.await(stallSeconds, 'stalled', `the server was silent for ${stallSeconds} s`);
    try {
      return await work();
    } catch (error) {
      throw broken ?? error;
    } finally {
      patience.moved();
      patience.rest();
    }
  }

  async function more(): Promise<void> {
    const next = await due(() => source.next()).catch(() => ({ done: true as const, value: undefined }));
    if (next.done || broken) throw broken ?? lost((await streams.ended).why, doing);
    rest = Buffer.concat([rest, next.value]);
  }

  async function line(): Promise<string> {
    for (;;) {
      const end = rest.indexOf(10);
      if (end >= 0) {
        const text = rest.toString('latin1', 0, end);
        rest = rest.subarray(end + 1);
        return text;
      }
      if (rest.length > MAX_LINE)
        throw new TransferError('unavailable', `${doing}: the other side speaks no scp`);
      await more();
    }
  }

  return {
    line,
    async acknowledged() {
      while (rest.length === 0) await more();
      const [byte] = rest;
      rest = rest.subarray(1);
      if (byte === 0) return;
      throw scpError(byte === 1 || byte === 2 ? await line() : 'it speaks no scp', doing);
    },
    async data(most) {
      while (rest.length === 0) await more();
      const piece = rest.subarray(0, most);
      rest = rest.subarray(piece.length);
      return piece;
    },
    send: (bytes) => due(() => flush(input, output, bytes)),
    async close() {
      leave();
      patience.end();
      streams.kill();
      await streams.ended;
    },
  };
}

function flush(input: Writable, output: Readable, bytes: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () =>
      reject(new TransferError('unavailable', 'ssh: connection closed by the other side'));
    output.once('close', onClose);
    input.write(bytes, (error) => {
      output.off('close', onClose);
      if (error) onClose();
      else resolve();
    });
  });
}

function lost(why: TransferError, doing: string): TransferError {
  return new TransferError(why.code, `${doing}: ${why.message}`, {
    cause: why,
    ...(why.hint === undefined ? {} : { hint: why.hint }),
  });
}

/** scp tells in words only: those of strerror(3) behind the name. */
export function scpError(text: string, doing: string): TransferError {
  const said = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
  if (/No such file|Not a directory/i.test(said))
    return new TransferError('not-found', `${doing}: no such file or directory`);
  if (/not a regular file|Is a directory/i.test(said)) {
    return new TransferError('invalid-request', `${doing}: expected a regular file`);
  }
  if (/Permission denied|not permitted|Read-only/i.test(said)) {
    return new TransferError('permission-denied', `${doing}: permission denied`);
  }
  if (/No space|quota/i.test(said))
    return new TransferError('no-space', `${doing}: no space left on the server`, { hint: FULL_HINT });
  return new TransferError('unexpected', `${doing}: the server says \`${said}\``);
}

/** A line that no scp sends, for what it does not send. */
export const DIRECTORY = 'directory';

/** Reads what comes before the bytes: `T` with times, `C` with mode and size (scp.c, sink()); undefined for a directory. */
export async function readHead(talk: ScpTalk, doing: string): Promise<ScpHead | undefined> {
  await talk.send('\0');
  let modified: number | undefined;
  for (;;) {
    const line = await talk.line();
    const times = /^T(\d+) \d+ \d+ \d+$/.exec(line);
    if (line === DIRECTORY) return undefined;
    const file = /^C([0-7]{4,5}) (\d{1,15}) /.exec(line);
    if (file) return { mode: Number.parseInt(file[1] ?? '', 8) & 0o777, size: Number(file[2]), modified };
    if (!times) throw scpError(/^[\x01\x02]/.test(line) ? line.slice(1) : 'it speaks no scp', doing);
    modified = Number(times[1]);
    await talk.send('\0');
  }
}
