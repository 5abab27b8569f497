import { TransferError } from './errors.ts';
import { createHasher } from './integrity/hasher.ts';
import { type Grading, gradeDestination, gradeSource, requireDigests } from './integrity/verification.ts';
import type { Opened } from './opening.ts';
import type { Algorithm, Source, Staged, Stored } from './protocol.ts';
import { giveBack } from './slabs.ts';
import type { StreamCall, StreamResult } from './stream.ts';

/** The whole content was found wrong: it is of no use to the next try. */
export function isProvenWrong(error: unknown): boolean {
  return (
    error instanceof TransferError &&
    (error.code === 'digest-mismatch' || error.code === 'size-mismatch' || error.code === 'changed')
  );
}

/** Everything that can be compared before the bytes are visible. */
export async function check(
  call: StreamCall,
  opened: Opened,
  received: number,
  digests: ReadonlyMap<Algorithm, string>,
): Promise<Grading> {
  const { source, last } = opened;
  const doing = `read \`${call.from.name}\``;
  if (source.size !== undefined && received !== source.size) {
    throw new TransferError('size-mismatch', `${doing}: expected ${source.size} bytes, got ${received}`);
  }
  if (call.size !== undefined && received !== call.size) {
    throw new TransferError('size-mismatch', `${doing}: expected ${call.size} bytes, got ${received}`);
  }
  if (last.confirm) await last.confirm();
  const trailer = last.trailer ? await last.trailer() : [];
  return requireDigests({ doing, ours: digests, expected: call.expected, source, trailer });
}

/** Reads the staged bytes again and compares them with what was sent. */
export async function readBack(
  call: StreamCall,
  staged: Staged,
  sent: ReadonlyMap<Algorithm, string>,
): Promise<void> {
  const source = await staged.read?.({ signal: call.signal });
  if (source) await compareStored(call, source, sent);
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

/** Compares with what the service says it stores; wrong content that could be seen is removed again. */
export async function conclude(
  call: StreamCall,
  opened: Opened,
  bytes: number,
  digests: ReadonlyMap<Algorithm, string>,
  grading: Grading,
  stored: Stored,
): Promise<StreamResult> {
  const isLocal = call.to.endpoint.isLocal === true;
  try {
    let confirmed = call.verifyWritten && digests.size > 0;
    if (confirmed && !isLocal) confirmed = await readStored(call, digests);
    const sides = {
      name: call.to.name,
      isLocal,
      // The fault stands behind what was counted; only a digest shall notice it.
      bytes: bytes + Buffer.byteLength(call.fault ?? ''),
      ours: digests,
      expected: call.expected,
      stored,
      confirmed,
    };
    return {
      route: 'stream',
      bytes,
      resumedFrom: opened.start,
      digests,
      source: gradeSource(grading, opened.source.size !== undefined),
      destination: gradeDestination(sides),
      notes: opened.source.note === undefined ? [] : [opened.source.note],
    };
  } catch (error) {
    if (!isLocal && isProvenWrong(error))
      await call.to.endpoint.remove?.(call.to.path, { signal: call.signal });
    throw error;
  }
}

/** For services that show bytes only once they are committed. */
async function readStored(call: StreamCall, digests: ReadonlyMap<Algorithm, string>): Promise<boolean> {
  const { endpoint, path } = call.to;
  if (endpoint.service === 'stdio') return false;
  await compareStored(call, await endpoint.read(path, { signal: call.signal, fresh: true }), digests);
  return true;
}
