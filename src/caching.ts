import type { Cache, CameBy } from './cache/cache.ts';
import { readContent } from './cache/read.ts';
import type { Algorithm, Bytes, Digest, Endpoint, ReadCall, Source } from './protocol.ts';
import { resume } from './stages.ts';
import type { Side, StreamCall } from './stream.ts';

/** Two contents of one of these digests have not been made by anybody yet. */
const NAMES_CONTENT: readonly Algorithm[] = ['sha256', 'sha512', 'blake3'];

const NOTES: Readonly<Record<CameBy, string>> = {
  cache: 'from the cache',
  fetch: 'kept in the cache',
  wait: 'from the cache, where another process had just put it',
};

/** A side to read from in the place of the source. */
export interface CachedSide {
  readonly side: Side;
  /** How it came to be there, for the outcome. */
  readonly note: string;
  /** What came out of it was wrong: it is fetched anew the next time. */
  drop(): void;
  /** Call once. */
  close(): void;
}

/** What must be known of a transfer to take its content from a cache. */
export type CachedCall = Pick<StreamCall, 'expected' | 'size' | 'signal' | 'preserve'> & {
  readonly onProgress: (bytes: number) => void;
};

/**
 * The content of `from`, by way of the cache, where the digest that it must have names it; undefined where none does,
 * and for what is on this machine anyway. Its bytes are hashed on their way out like any other's, so the cache is no
 * more believed than a mirror. Rejects with what reading `from` says.
 */
export async function throughCache(
  from: Side,
  call: CachedCall,
  cache: Cache,
): Promise<CachedSide | undefined> {
  const digest = nameOf(call.expected);
  if (!digest || from.endpoint.isLocal || from.endpoint.usesCache) return undefined;
  let shown = 0;
  const show = (bytes: number) => {
    call.onProgress(bytes - shown);
    shown = bytes;
  };
  try {
    const wanted = {
      subject: { digest },
      name: from.name,
      ...(call.size === undefined ? {} : { size: call.size }),
      fetch: (start: number, signal: AbortSignal) => fetchFrom(from, start, signal),
    };
    const obtained = await cache.obtain(wanted, { signal: call.signal, onBytes: show });
    const read = async (reading: ReadCall): Promise<Source> => {
      const source = readContent(obtained, reading);
      return { ...source, ...(await originOf(from, call)) };
    };
    return {
      side: { ...from, endpoint: endpointOf(read), path: obtained.path },
      note: NOTES[obtained.by],
      drop: () => cache.drop({ digest }),
      close: () => obtained.close(),
    };
  } finally {
    // The bytes count when they go on from here.
    show(0);
  }
}

function nameOf(expected: readonly Digest[]): Digest | undefined {
  for (const algorithm of NAMES_CONTENT) {
    const found = expected.find((one) => one.algorithm === algorithm && one.partSize === undefined);
    if (found) return found;
  }
  return undefined;
}

async function fetchFrom({ endpoint, path }: Side, start: number, signal: AbortSignal): Promise<Bytes> {
  const source = await endpoint.read(path, { signal, ...(start > 0 ? { range: { start } } : {}) });
  return through(source);

  async function* through(first: Source): Bytes {
    let last = first;
    try {
      const onContinue = (_at: number, _why: string, rest: Source) => {
        last = rest;
      };
      yield* resume(first, { from: endpoint, path, start, signal, onContinue });
      await last.confirm?.();
    } finally {
      await first.discard?.();
      if (last !== first) await last.discard?.();
    }
  }
}

/** What a file of the cache has of its own is nobody's business; what the origin's has, when it is to be kept. */
async function originOf(
  { endpoint, path }: Side,
  { preserve, signal }: CachedCall,
): Promise<{ readonly mode: number | undefined; readonly modified: Date | undefined }> {
  const { mode, modified } = preserve ? await endpoint.stat(path, { signal }) : {};
  return { mode, modified };
}

function endpointOf(read: (call: ReadCall) => Promise<Source>): Endpoint {
  return {
    service: 'cache',
    isLocal: true,
    read: (_path, call) => read(call),
    stat: async (_path, call) => {
      const source = await read(call);
      await source.discard?.();
      return source;
    },
  };
}
