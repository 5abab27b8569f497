import fs from 'node:fs';
import { TransferError, toTransferError } from '../src/errors.ts';
import type { Bytes, Endpoint, Source, Staged } from '../src/protocol.ts';
import { giveBack, takeSlab } from '../src/slabs.ts';

const STDIN = 0;
const STDOUT = 1;

/** Standard input as a source and standard output as a destination, which shows every byte as it comes: not atomic. */
export function open(): Endpoint {
  return {
    service: 'stdio',
    async stat() {
      return { type: 'other' };
    },
    async read(_path, call): Promise<Source> {
      if (call.range?.start)
        throw new TransferError('range-ignored', 'read standard input: it cannot be read again');
      return { type: 'other', bytes: readInput(call.signal) };
    },
    async write(_path, bytes): Promise<Staged> {
      const size = await writeOutput(bytes);
      return { commit: async () => ({ size, digests: [] }), abort: async () => undefined };
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

async function writeOutput(bytes: Bytes): Promise<number> {
  let size = 0;
  for await (const chunk of bytes) {
    for (let done = 0; done < chunk.length; ) done += await writeSome(chunk.subarray(done));
    size += chunk.length;
    giveBack(chunk);
  }
  return size;
}

function writeSome(chunk: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(STDOUT, chunk, 0, chunk.length, null, (error, done) => {
      if (!error) resolve(done);
      else if (error.code === 'EAGAIN') setTimeout(() => resolve(0), 10);
      else reject(toTransferError(error, 'write standard output'));
    });
  });
}
