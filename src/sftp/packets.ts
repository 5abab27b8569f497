import { MESSAGE, malformed } from './wire.ts';

/** Longer packets are none: servers answer with up to 256 KiB, and no list of names is near this. */
const MAX_PACKET = 4 * 1024 * 1024;
/** Length, type, id and the length of the data. */
const DATA_HEAD = 13;

/**
 * Heads are read through this much memory, and what comes behind them is copied; the rest of a long body is read straight
 * to where it belongs.
 */
const SCRATCH = 4096;

const REPLIES: ReadonlySet<number> = new Set([
  MESSAGE.version,
  MESSAGE.status,
  MESSAGE.handle,
  MESSAGE.data,
  MESSAGE.name,
  MESSAGE.attrs,
  MESSAGE.extendedReply,
]);

/** Who gets what the packets hold. */
export interface PacketConsumer {
  /** Where the data of request `id` goes; undefined when nobody asked for any. */
  target(id: number): Uint8Array | undefined;
  /** The first `length` bytes of that target are filled. */
  data(id: number, length: number): void;
  /** `body` begins behind the id. VERSION has none; its id is -1. */
  packet(type: number, id: number, body: Buffer): void;
}

/** Takes bytes in two ways, which may alternate. Throws `unavailable` for what is no SFTP, and must not be used again then. */
export interface PacketReader {
  /** Where the next bytes go, for one {@link PacketReader.came}. */
  memory(): Uint8Array;
  /** So many bytes were put there. */
  came(count: number): void;
  /** Bytes from elsewhere. */
  take(chunk: Uint8Array): void;
  /** What {@link PacketReader.memory} gave out last belongs to a READ under way. */
  isInTarget(): boolean;
}

/** Cuts a stream into packets. */
export function createPacketReader(consumer: PacketConsumer): PacketReader {
  const scratch = Buffer.allocUnsafeSlow(SCRATCH);
  let isDirect = false;
  const head = Buffer.alloc(DATA_HEAD);
  let headLength = 0;
  let headWant = 5;
  let body: Uint8Array | undefined;
  let filled = 0;
  let wanted = 0;

  function begin(): void {
    const length = head.readUInt32BE(0);
    const type = head[4] ?? 0;
    if (length < 5 || length > MAX_PACKET || !REPLIES.has(type)) throw strange(head);
    if (type === MESSAGE.data && headLength < DATA_HEAD) {
      headWant = DATA_HEAD;
      return;
    }
    if (type === MESSAGE.data) {
      wanted = head.readUInt32BE(9);
      const target = consumer.target(head.readUInt32BE(5));
      if (!target || wanted > target.length || length !== wanted + 9) {
        throw malformed('the server sent data that nobody asked for');
      }
      body = target;
    } else {
      wanted = length - 1;
      body = Buffer.allocUnsafe(wanted);
    }
    filled = 0;
  }

  function finish(whole: Uint8Array): void {
    const type = head[4] ?? 0;
    body = undefined;
    headLength = 0;
    headWant = 5;
    if (type === MESSAGE.data) {
      consumer.data(head.readUInt32BE(5), wanted);
      return;
    }
    const packet = Buffer.from(whole.buffer, whole.byteOffset, whole.length);
    if (type === MESSAGE.version) consumer.packet(type, -1, packet);
    else consumer.packet(type, packet.readUInt32BE(0), packet.subarray(4));
  }

  function take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length || (body && filled === wanted); ) {
      if (!body) {
        const piece = Math.min(headWant - headLength, chunk.length - at);
        head.set(chunk.subarray(at, at + piece), headLength);
        headLength += piece;
        at += piece;
        if (headLength === headWant) begin();
        continue;
      }
      const piece = Math.min(wanted - filled, chunk.length - at);
      if (piece > 0) body.set(chunk.subarray(at, at + piece), filled);
      filled += piece;
      at += piece;
      if (filled === wanted) finish(body);
    }
  }

  return {
    take,
    memory() {
      isDirect = body !== undefined;
      return body?.subarray(filled, wanted) ?? scratch;
    },
    came(count) {
      if (!isDirect || !body) {
        take(scratch.subarray(0, count));
        return;
      }
      filled += count;
      if (filled === wanted) finish(body);
    },
    isInTarget: () => isDirect && head[4] === MESSAGE.data,
  };
}

function strange(head: Buffer): Error {
  const isText = head
    .subarray(0, 5)
    .every((byte) => byte === 10 || byte === 13 || (byte >= 32 && byte < 127));
  return isText
    ? malformed(
        `the server sent text instead of SFTP, beginning with ${JSON.stringify(head.toString('latin1', 0, 5))}`,
        'a start-up file of the shell there prints something; it must not when the shell is not interactive',
      )
    : malformed('the server sent something that is no SFTP');
}
