import { TransferError } from './errors.ts';
import { createHasher } from './integrity/hasher.ts';
import { reaches } from './integrity/policy.ts';
import type { Algorithm, Digest, Source, Staged } from './protocol.ts';
import { giveBack } from './slabs.ts';
import type { StreamCall } from './stream.ts';

/** True when the staged bytes are to be read again: as asked, or because nothing cheaper will prove them. */
export function wantsReadBack(call: StreamCall, staged: Staged): boolean {
  if (!staged.read) return false;
  if (call.verifyWritten || !call.require) return call.verifyWritten;
  const { destination } = call.require;
  const { isLocal, digestsOnWrite } = call.to.endpoint;
  // What the kernel took is proven enough for everything but an expected digest.
  if (isLocal) return destination === 'end-to-end';
  return reaches(destination, 'wire') && !digestsOnWrite && !staged.isUnsent;
}

/** Reads the staged bytes again and compares them with what was sent. True when they are what is stored. */
export async function readBack(
  call: StreamCall,
  staged: Staged,
  sent: ReadonlyMap<Algorithm, string>,
): Promise<boolean> {
  const source = await staged.read?.({ signal: call.signal });
  if (!source) return false;
  await compareStored(call, source, sent);
  return sent.size > 0 && staged.isUnsent !== true;
}

async function compareStored(
  call: StreamCall,
  source: Source,
  sent: ReadonlyMap<Algorithm, string>,
): Promise<void> {
  const [algorithm, value] = [...sent][0] ?? [];
  if (algorithm === undefined) return source.discard?.();
  const hasher = await createHasher([algorithm], source.size);
  try {
    for await (const chunk of source.bytes) {
      const wait = hasher.update(chunk);
      if (wait) await wait;
      giveBack(chunk);
    }
    const stored = (await hasher.digests()).get(algorithm);
    if (stored === value) return;
    throw new TransferError(
      'digest-mismatch',
      `read back \`${call.to.name}\`: expected ${algorithm} ${value}, got ${stored}`,
    );
  } finally {
    hasher.close();
  }
}

/** For services that show bytes only once they are committed. False where nothing can be read again. */
export async function readStored(
  call: StreamCall,
  digests: ReadonlyMap<Algorithm, string>,
): Promise<boolean> {
  const { endpoint, path } = call.to;
  if (endpoint.service === 'stdio' || digests.size === 0) return false;
  await compareStored(call, await endpoint.read(path, { signal: call.signal, fresh: true }), digests);
  return true;
}

/** What the service says its digests are, of those that we have ours of; nothing where it does not say. */
export async function askService(
  call: StreamCall,
  digests: ReadonlyMap<Algorithm, string>,
): Promise<readonly Digest[]> {
  const { endpoint, path } = call.to;
  const asking = { signal: call.signal, fresh: true };
  return (await unlessRefused(async () => endpoint.digest?.(path, [...digests.keys()], asking))) ?? [];
}

/** Bytes that the service says are stored now. */
export async function sizeOf(call: StreamCall): Promise<number | undefined> {
  const { endpoint, path } = call.to;
  return (await unlessRefused(() => endpoint.stat(path, { signal: call.signal })))?.size;
}

/** Undefined where the service refuses for good: there are other ways to ask. */
async function unlessRefused<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TransferError && !error.transient && error.code !== 'canceled') return undefined;
    throw error;
  }
}
