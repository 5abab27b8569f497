import type { Cache } from '../../cache/cache.ts';
import { readAndClose } from '../../cache/read.ts';
import { TransferError } from '../../errors.ts';
import type { Bytes, Context, Endpoint, ReadCall } from '../../protocol.ts';
import { findOnce } from '../find-once.ts';
import type { OpenedSif, RemoteSif } from './found.ts';

/** Who runs a SIF file: apptainer makes those that it pulls executable. */
const MODE = 0o755;

/**
 * The endpoint of one SIF file of a service, given as it is. Its digest, where the service tells one, goes along as that
 * of the stored object: whoever reads to the end compares it. Throws `unsupported` for a destination that wants anything
 * but a SIF file.
 */
export function sifEndpoint(
  service: string,
  context: Pick<Context, 'format' | 'cache'>,
  search: (signal: AbortSignal) => Promise<RemoteSif>,
): Endpoint {
  const { format, cache } = context;
  refuseFormat(format);
  const find = findOnce(search);

  return {
    service,
    usesCache: cache !== undefined,

    async stat(_, { signal }) {
      const { size, version, digest } = await find(signal);
      return { type: 'file', size, version, mode: MODE, ...(digest ? { digests: [digest] } : {}) };
    },

    async read(_, call) {
      const sif = await find(call.signal, call.fresh);
      const refuseOther = (version: string | undefined) => {
        if (call.version === undefined || version === call.version) return;
        throw new TransferError(
          'changed',
          `read \`${sif.name}\`: it is no longer the file that was asked for`,
        );
      };
      if (sif.version !== undefined) refuseOther(sif.version);
      const opened = cache ? await openCached(sif, call, cache) : await sif.open(call);
      const { bytes, size = sif.size, discard } = opened;
      const version = sif.version ?? opened.version;
      try {
        refuseOther(version);
      } catch (error) {
        await discard?.();
        throw error;
      }
      const { start = 0, end } = call.range ?? {};
      return {
        type: 'file',
        size,
        version,
        mode: MODE,
        ...(sif.digest ? { digests: [sif.digest] } : {}),
        ...(sif.proven ? { proven: sif.proven } : {}),
        bytes: end === undefined ? bytes : firstOf(bytes, end - start),
        note: sif.note,
        ...(discard ? { discard } : {}),
      };
    },

    async describe(_, { signal }) {
      const { pinned, facts } = await find(signal);
      return [{ label: 'name', text: pinned }, ...facts];
    },
  };
}

/**
 * By way of the cache, where a digest names the content; whoever reads to the end compares what comes out of it like what a
 * service gives. Past it, and it is dropped there, when that was wrong.
 */
async function openCached(sif: RemoteSif, call: ReadCall, cache: Cache): Promise<OpenedSif> {
  const { name, digest, size } = sif;
  // Another content of the same md5 can be made.
  if (digest?.algorithm !== 'sha256') return sif.open(call);
  const subject = { digest };
  if (call.fresh) {
    cache.drop(subject);
    return sif.open(call);
  }
  const fetch = async (start: number, signal: AbortSignal) =>
    (await sif.open({ signal, range: { start } })).bytes;
  const wanted = { subject, name, ...(size === undefined ? {} : { size }), fetch };
  const obtained = await cache.obtain(wanted, { signal: call.signal });
  const { start = 0 } = call.range ?? {};
  const opened = readAndClose(obtained, { signal: call.signal, range: { start } });
  return { ...opened, size: obtained.size };
}

async function* firstOf(bytes: Bytes, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of bytes) {
    yield left < chunk.length ? chunk.subarray(0, left) : chunk;
    left -= chunk.length;
    if (left <= 0) return;
  }
}

function refuseFormat(format: string | undefined): void {
  if (format === undefined || format === 'singularity') return;
  throw new TransferError('unsupported', `a SIF file cannot be had as \`${format}\`: it has no layers`, {
    hint: 'a destination of type `singularity`, or of none, gets it as it is',
  });
}
