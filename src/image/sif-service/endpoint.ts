import { TransferError } from '../../errors.ts';
import type { Bytes, Context, Endpoint } from '../../protocol.ts';
import type { RemoteSif } from './found.ts';

/** Who runs a SIF file: apptainer makes those that it pulls executable. */
const MODE = 0o755;

/**
 * The endpoint of one SIF file of a service, given as it is. Its digest, where the service tells one, goes along as that
 * of the stored object: whoever reads to the end compares it. Throws `unsupported` for a destination that wants anything
 * but a SIF file.
 */
export function sifEndpoint(
  service: string,
  context: Pick<Context, 'format'>,
  search: (signal: AbortSignal) => Promise<RemoteSif>,
): Endpoint {
  refuseFormat(context.format);
  let found: Promise<RemoteSif> | undefined;

  /** Looked for once: a tag that moves meanwhile would make two files of one. */
  function find(signal: AbortSignal, isFresh: boolean): Promise<RemoteSif> {
    if (found && !isFresh) return found;
    const finding = search(signal);
    found = finding;
    finding.catch(() => {
      if (found === finding) found = undefined;
    });
    return finding;
  }

  return {
    service,

    async stat(_, { signal }) {
      const { size, version, digest } = await find(signal, false);
      return { type: 'file', size, version, mode: MODE, ...(digest ? { digests: [digest] } : {}) };
    },

    async read(_, call) {
      const sif = await find(call.signal, call.fresh ?? false);
      const refuseOther = (version: string | undefined) => {
        if (call.version === undefined || version === call.version) return;
        throw new TransferError(
          'changed',
          `read \`${sif.name}\`: it is no longer the file that was asked for`,
        );
      };
      if (sif.version !== undefined) refuseOther(sif.version);
      const opened = await sif.open(call);
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
      const { pinned, facts } = await find(signal, false);
      return [{ label: 'name', text: pinned }, ...facts];
    },
  };
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
