import fs from 'node:fs';
import { TransferError, toTransferError } from '../src/errors.ts';
import type { Bytes, Endpoint, Source, Staged } from '../src/protocol.ts';
import { giveBack, takeSlab } from '../src/slabs.ts';

const STDIN = 0;
const STDOUT = 1;

/** Standard input as a source and standard output as a destination, which shows every byte as it comes: not atomic. */
export function open(): Endpoint {
  let isRead = false;
  let torn: string | undefined;
  return {
    service: 'stdio',
    async stat() {
      return { type: 'other' };
    },
    async read(_path, call): Promise<Source> {
      if (call.range?.start)
        throw new TransferError('range-ignored', 'read standard input: it cannot be read again');
      // What a first try took is gone: a second would take the rest for the whole.
      if (isRead) throw new TransferError('unexpected', 'read standard input: it was read already');
      isRead = true;
      return { type: 'other', bytes: readInput(call.signal) };
    },
    async write(_path, bytes): Promise<Staged> {
      if (torn !== undefined) {
        throw new TransferError('unexpected', `write standard output: it holds a part already (${torn})`);
      }
      torn = 'of content that was found wrong';
      const size = await writeOutput(bytes, (count, error) => {
        torn = count === 0 ? undefined : error.message;
      });
      return {
        commit: async () => {
          torn = undefined;
          return { size, digests: [] };
        },
        abort: async () => undefined,
      };
    },
  };
}

async function* readInput(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    if (signal.aborted) throw new TransferError('canceled', 'read standard input: canceled');
    const slab = takeSlab();
    const got = await readSome(slab);
    if (got === 0) return;
    yield slab.subarray(0, got);
  }
}

function readSome(into: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(STDIN, into, 0, into.length, null, (error, got) => {
      if (!error) resolve(got);
      else if (error.code === 'EOF') resolve(0);
      else if (error.code === 'EAGAIN') setTimeout(() => resolve(readSome(into)), 10);
      else reject(toTransferError(error, 'read standard input'));
    });
  });
}

type OnFailure = (count: number, error: TransferError) => void;

async function writeOutput(bytes: Bytes, onFailure: OnFailure): Promise<number> {
  let size = 0;
  try {
    for await (const chunk of bytes) {
      for (let done = 0; done < chunk.length; ) {
        const count = await writeSome(chunk.subarray(done));
        done += count;
        size += count;
      }
      giveBack(chunk);
    }
    return size;
  } catch (thrown) {
    const error = toTransferError(thrown, 'write standard output');
    onFailure(size, error);
    throw error;
  }
}

function writeSome(chunk: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(STDOUT, chunk, 0, chunk.length, null, (error, done) => {
      if (!error) resolve(done);
      else if (error.code === 'EAGAIN') setTimeout(() => resolve(0), 10);
      else if (error.code === 'EPIPE')
        reject(new TransferError('canceled', 'write standard output: nobody reads it any more'));
      else reject(toTransferError(error, 'write standard output'));
    });
  });
}
