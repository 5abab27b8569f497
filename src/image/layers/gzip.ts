import type { Gunzip } from 'node:zlib';
import { createGunzip } from 'node:zlib';
import { TransferError } from '../../errors.ts';
import { giveBack } from '../../slabs.ts';

/** Output at a time: node's 16 KiB are a trip to another thread each. */
const CHUNK = 256 * 1024;

/** What gzip data holds, of any number of members (RFC 1952 §2.2). Rejects with `invalid-request` when it is cut or broken, or anything lies behind. */
export async function* gunzipped(source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = createGunzip({ chunkSize: CHUNK });
  let fed = 0;
  let failure: { readonly error: unknown } | undefined;
  const feeding = feed().catch((error: unknown) => {
    failure = { error };
    decoder.destroy();
  });

  async function feed(): Promise<void> {
    while (!decoder.destroyed) {
      const { done, value } = await source.next();
      if (done) {
        decoder.end();
        return;
      }
      fed += value.length;
      if (!decoder.write(Buffer.from(value.buffer, value.byteOffset, value.length), () => giveBack(value))) {
        await roomIn(decoder);
      }
    }
  }

  try {
    for await (const chunk of decoder) yield chunk;
    await feeding;
  } catch (error) {
    if (failure) throw failure.error;
    throw new TransferError('invalid-request', `unpacking gzip: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    decoder.destroy();
  }
  if (failure) throw failure.error;
  // Zeros behind the last member end the stream as if there were nothing.
  if (decoder.bytesWritten !== fed) {
    throw new TransferError('invalid-request', 'unpacking gzip: something else lies behind its end');
  }
}

/** Until it takes more, or will take no more. */
function roomIn(decoder: Gunzip): Promise<void> {
  return new Promise((resolve) => {
    if (decoder.destroyed) return resolve();
    const done = () => {
      decoder.off('drain', done).off('close', done);
      resolve();
    };
    decoder.on('drain', done).on('close', done);
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
