import { TransferError } from '../errors.ts';
import { createPacketReader } from './packets.ts';
import { createPatience, type Patience } from './patience.ts';
import { STATUS, statusError } from './status.ts';
import type { Transport } from './transport.ts';
import {
  encodePacket,
  encodeWriteHead,
  type Field,
  type FieldReader,
  MESSAGE,
  malformed,
  readFields,
} from './wire.ts';

/** What a server takes that does not say (draft-ietf-secsh-filexfer-02 §3 asks for 34,000 bytes a packet). */
const UNSAID = { read: 32_768, write: 32_768 };
/** More in one request is no quicker and holds more memory. */
const MOST = 256 * 1024;

/** Bytes that are read at a time and thrown away once the session is of no use. */
const DISCARDED = 64 * 1024;

/** Bytes that one request may ask for or carry. */
export interface Limits {
  readonly read: number;
  readonly write: number;
}

export interface Reply {
  readonly type: number;
  readonly fields: FieldReader;
}

/** One conversation with an SFTP server, with any number of requests under way. */
export interface Session {
  /** Names the server offers, such as `fsync@openssh.com`, with their versions. */
  readonly extensions: ReadonlyMap<string, string>;
  readonly limits: Limits;
  /** Milliseconds there and back: the shortest that a request took which was alone. A busy machine makes single ones long. */
  roundTrip(): number;
  /** Rejects with what a STATUS other than OK says; `isSlow` for what the server may work at for minutes. */
  request(type: number, fields: readonly Field[], doing: string, isSlow?: 'slow'): Promise<Reply>;
  /** Bytes that came into `into`, which nobody may touch until then; 0 at the end of the file. */
  read(handle: Uint8Array, offset: number, into: Uint8Array, doing: string): Promise<number>;
  /** Resolves when the server acknowledged it. `bytes` must stay as they are until then. */
  write(handle: Uint8Array, offset: number, bytes: Uint8Array, doing: string): Promise<void>;
  /** Why it is of no use any more; undefined while it is. */
  failure(): TransferError | undefined;
  close(): Promise<void>;
}

interface Pending {
  readonly doing: string;
  readonly into?: Uint8Array;
  readonly isSlow: boolean;
  resolve(reply: Reply | number): void;
  reject(error: TransferError): void;
}

/** Seconds to wait. */
export interface SessionWaits {
  /** From the start of the connection to the server's VERSION. */
  readonly open: number;
  /** Without a byte while an answer is due. */
  readonly stall: number;
  /** The same, while the server copies or flushes. */
  readonly slow: number;
}

/** Begins SFTP version 3 on a transport. Rejects with why the transport ended, or `timed-out`. */
export async function openSession(transport: Transport, waits: SessionWaits): Promise<Session> {
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let slow = 0;
  let failed: TransferError | undefined;
  let isOpen = false;
  let greet: (packet: Buffer) => void = () => undefined;
  let refuse: (why: TransferError) => void = () => undefined;
  const greeting = new Promise<Buffer>((resolve, reject) => {
    greet = resolve;
    refuse = reject;
  });

  const patience: Patience = createPatience((text, code) => {
    fail(new TransferError(code, text));
    transport.kill();
  });
  patience.await(waits.open, 'timed-out', `no SFTP session within ${waits.open} s`);

  function fail(why: TransferError): void {
    if (failed) return;
    failed = why;
    patience.end();
    // Who waits for a READ may use its memory for something else from now on.
    if (reader.isInTarget()) transport.kill();
    refuse(why);
    const all = [...pending.values()];
    pending.clear();
    for (const one of all) one.reject(lost(why, one.doing));
  }

  /** In the middle of a session nothing is wrong with the request: the same may succeed over another connection. */
  function lost(why: TransferError, doing: string): TransferError {
    const code = isOpen && !why.transient ? 'unavailable' : why.code;
    return new TransferError(code, `${doing}: ${why.message}`, {
      cause: why,
      ...(why.hint === undefined ? {} : { hint: why.hint }),
    });
  }

  function settle(id: number): Pending {
    const one = pending.get(id);
    if (!one) throw malformed('the server answered what nobody asked');
    pending.delete(id);
    if (one.isSlow) slow -= 1;
    watch();
    return one;
  }

  function watch(): void {
    if (pending.size === 0) {
      patience.rest();
      return;
    }
    const seconds = slow > 0 ? waits.slow : waits.stall;
    patience.await(seconds, 'stalled', `the server was silent for ${seconds} s`);
  }

  const reader = createPacketReader({
    target: (id) => pending.get(id)?.into,
    data: (id, length) => settle(id).resolve(length),
    packet(type, id, body) {
      if (type === MESSAGE.version) return greet(body);
      const one = settle(id);
      const fields = readFields(body);
      if (type !== MESSAGE.status) return one.resolve({ type, fields });
      const code = fields.u32();
      const text = fields.left() >= 4 ? fields.text() : '';
      if (code === STATUS.ok && !one.into) one.resolve({ type, fields });
      else if (code === STATUS.eof && one.into) one.resolve(0);
      else one.reject(statusError({ code, text }, one.doing));
    },
  });

  function understand(read: () => void): void {
    patience.moved();
    if (failed) return;
    try {
      read();
    } catch (error) {
      fail(error instanceof TransferError ? error : malformed(String(error)));
      transport.kill();
    }
  }

  transport.listen({
    bytes: (chunk) => understand(() => reader.take(chunk)),
    memory: () => (failed ? Buffer.allocUnsafe(DISCARDED) : reader.memory()),
    came: (count) => understand(() => reader.came(count)),
    ended: fail,
  });

  function send<T extends Reply | number>(
    one: Omit<Pending, 'resolve' | 'reject'>,
    pieces: (id: number) => readonly Uint8Array[],
  ): Promise<T> {
    if (failed) return Promise.reject(lost(failed, one.doing));
    lastId = (lastId + 1) >>> 0;
    const id = lastId;
    return new Promise<T>((resolve, reject) => {
      pending.set(id, { ...one, resolve: resolve as Pending['resolve'], reject });
      if (one.isSlow) slow += 1;
      watch();
      transport.write(pieces(id), patience.moved);
    });
  }

  let roundTrip = Number.POSITIVE_INFINITY;
  const request: Session['request'] = async (type, fields, doing, isSlow) => {
    const isAlone = pending.size === 0;
    const began = performance.now();
    try {
      return await send<Reply>({ doing, isSlow: isSlow === 'slow' }, (id) => [
        encodePacket(type, [id, ...fields]),
      ]);
    } finally {
      if (isAlone) roundTrip = Math.min(roundTrip, performance.now() - began);
    }
  };

  transport.write([encodePacket(MESSAGE.init, [3])]);
  const extensions = await greeting.then(readVersion).catch((error: unknown) => {
    transport.kill();
    throw error;
  });
  patience.rest();
  isOpen = true;
  const limits = await askLimits(request, extensions);

  return {
    extensions,
    limits,
    roundTrip: () => roundTrip,
    request,
    read: (handle, offset, into, doing) =>
      send<number>({ doing, into, isSlow: false }, (id) => [
        encodePacket(MESSAGE.read, [id, handle, BigInt(offset), into.length]),
      ]),
    write: async (handle, offset, bytes, doing) => {
      await send<Reply>({ doing, isSlow: false }, (id) => [
        encodeWriteHead(id, handle, offset, bytes.length),
        bytes,
      ]);
    },
    failure: () => failed,
    async close() {
      fail(new TransferError('canceled', 'the session was closed'));
      await transport.close();
    },
  };
}

function readVersion(packet: Buffer): ReadonlyMap<string, string> {
  const fields = readFields(packet);
  const version = fields.u32();
  if (version < 3) {
    throw new TransferError('unsupported', `sftp: expected version 3, the server has ${version}`);
  }
  const extensions = new Map<string, string>();
  while (fields.left() > 0) extensions.set(fields.text(), fields.bytes().toString('latin1'));
  return extensions;
}

/** `limits@openssh.com` (OpenSSH PROTOCOL §4.8); 0 says nothing. */
async function askLimits(
  request: Session['request'],
  extensions: ReadonlyMap<string, string>,
): Promise<Limits> {
  if (!extensions.has('limits@openssh.com')) return UNSAID;
  const { fields } = await request(MESSAGE.extended, ['limits@openssh.com'], 'ask for limits');
  fields.u64();
  const [read, write] = [fields.u64(), fields.u64()];
  return {
    read: read === 0 ? UNSAID.read : Math.min(read, MOST),
    write: write === 0 ? UNSAID.write : Math.min(write, MOST),
  };
}
