import { randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { TransferError, toTransferError } from '../errors.ts';

/** Bytes read at once: half a millisecond of scanning, so that nothing else waits. */
const CHUNK_BYTES = 256 * 1024;

/** A stream up to this size stays in memory; nearly all lists do. */
const MEMORY_BYTES = 1024 * 1024;

/** Bytes of an input and where they stand in it. */
export interface Chunk {
  readonly bytes: Uint8Array;
  /** Of the first byte, from 0. */
  readonly offset: number;
}

/** Bytes that can be read several times and are the same each time. */
export interface ListInput {
  /** As messages name it. */
  readonly name: string;
  /**
   * The bytes from the start; a chunk stands until the next is asked for. Any pass after the first whole one rejects
   * with `changed` when it reads something else than that one did. Passes may run at the same time.
   */
  chunks(): AsyncGenerator<Chunk, void, undefined>;
  close(): Promise<void>;
}

type ReadAt = (buffer: Uint8Array, position: number) => Promise<number>;

/** The file at `path`, kept open. What cannot be read twice, such as a pipe, is spooled first. */
export async function openFile(path: string, spoolDirectory: string = tmpdir()): Promise<ListInput> {
  const name = `\`${path}\``;
  const doing = `reading ${name}`;
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new TransferError('invalid-request', `${doing}: is a directory`);
    if (stats.isFile()) return fromHandle(name, handle);
    const input = await spoolStream(name, handle.createReadStream({ autoClose: false }), spoolDirectory);
    await handle.close();
    return input;
  } catch (error) {
    await handle.close().catch(() => {});
    throw toTransferError(error, doing);
  }
}

/**
 * Everything that `stream` brings, in memory or in a file of `directory` that only this process can reach: it is mode
 * 0600 and has lost its name before the first byte is written.
 */
export async function spoolStream(
  name: string,
  stream: AsyncIterable<Uint8Array>,
  directory: string,
): Promise<ListInput> {
  const held: Uint8Array[] = [];
  let bytes = 0;
  let handle: FileHandle | undefined;
  try {
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (handle === undefined) {
        held.push(Uint8Array.from(chunk));
        if (bytes <= MEMORY_BYTES) continue;
        handle = await openUnnamed(directory);
        for (const part of held.splice(0)) await writeAll(handle, part);
      } else {
        await writeAll(handle, chunk);
      }
    }
  } catch (error) {
    await handle?.close().catch(() => {});
    throw toTransferError(error, `reading ${name}`);
  }
  return handle === undefined ? fromMemory(name, Buffer.concat(held)) : fromHandle(name, handle);
}

async function openUnnamed(directory: string): Promise<FileHandle> {
  const path = join(directory, `bridle-list-${randomBytes(12).toString('hex')}`);
  const doing = `spooling the transfer list in \`${directory}\``;
  try {
    const handle = await open(path, 'wx+', 0o600);
    try {
      await unlink(path);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return handle;
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}

function fromHandle(name: string, handle: FileHandle): ListInput {
  const readAt: ReadAt = async (buffer, position) => {
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  };
  return rereadable(name, readAt, () => handle.close());
}

function fromMemory(name: string, content: Uint8Array): ListInput {
  const readAt: ReadAt = async (buffer, position) => {
    const part = content.subarray(position, position + buffer.length);
    buffer.set(part);
    return part.length;
  };
  return rereadable(name, readAt, async () => {});
}

/** Times and sizes do not show every change (a clock tick is long, network file systems lie); checksums do. */
function rereadable(name: string, readAt: ReadAt, close: () => Promise<void>): ListInput {
  const marks: number[] = [];
  let end: number | undefined;

  return {
    name,
    close,
    async *chunks() {
      // A buffer of its own for each pass.
      const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      for (let position = 0, index = 0; ; index++) {
        const filled = await readAt(buffer, position).catch((error: unknown) => {
          throw toTransferError(error, `reading ${name}`);
        });
        const bytes = buffer.subarray(0, filled);
        const mark = crc32(bytes);
        const isLast = filled < CHUNK_BYTES;
        marks[index] ??= mark;
        if (isLast) end ??= position + filled;
        if (
          marks[index] !== mark ||
          (end !== undefined && (isLast ? position + filled !== end : position + filled > end))
        ) {
          throw new TransferError('changed', `reading ${name}: changed while it was being read`);
        }
        if (filled > 0) yield { bytes, offset: position };
        if (isLast) return;
        position += filled;
      }
    },
  };
}
