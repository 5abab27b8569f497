import { LARGE_BODY, wrongSize } from '../http/outgoing.ts';
import type { Bytes } from '../protocol.ts';

/** A body for a PUT that may have to be sent twice. */
export interface Upload {
  /** Bytes, when that is known before the first goes. */
  readonly size: number | undefined;
  /** It is in memory whole, and can be sent any number of times. */
  readonly isHeld: boolean;
  body(): Bytes;
  /** True while `body` can still be asked for. */
  isSendable(): boolean;
  /** Something of it may have reached the server. */
  wasTouched(): boolean;
  /** It was read to its end. */
  isComplete(): boolean;
  /** Bytes that were read. */
  count(): number;
}

/**
 * The bytes as a body. What ends within a mebibyte is held in memory, also when nobody knew that it would: many servers
 * want a Content-Length. Rejects with `size-mismatch` when the end comes elsewhere than promised.
 */
export async function uploadOf(bytes: Bytes, size: number | undefined, doing: string): Promise<Upload> {
  if (size !== undefined && size >= LARGE_BODY) return streamed(bytes, size);
  const iterator = bytes[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let count = 0;
  let isOpen = true;
  try {
    while (count < LARGE_BODY) {
      const step = await iterator.next();
      if (step.done) {
        isOpen = false;
        if (size !== undefined && count !== size) throw wrongSize(doing, count, size);
        return inMemory(held, count);
      }
      count += step.value.length;
      if (size !== undefined && count > size) throw wrongSize(doing, count, size);
      if (step.value.length > 0) held.push(step.value);
    }
    isOpen = false;
  } finally {
    if (isOpen) await iterator.return?.();
  }
  return streamed(behind(held, iterator), undefined);
}

/** What is there whole. */
export function inMemory(chunks: readonly Uint8Array[], count: number): Upload {
  let wasTouched = false;
  return {
    size: count,
    isHeld: true,
    async *body() {
      wasTouched = true;
      yield* chunks;
    },
    isSendable: () => true,
    wasTouched: () => wasTouched,
    isComplete: () => true,
    count: () => count,
  };
}

function streamed(bytes: Bytes, size: number | undefined): Upload {
  let wasTouched = false;
  let isComplete = false;
  let count = 0;
  return {
    size,
    isHeld: false,
    async *body() {
      wasTouched = true;
      for await (const chunk of bytes) {
        count += chunk.length;
        yield chunk;
      }
      isComplete = true;
    },
    isSendable: () => !wasTouched,
    wasTouched: () => wasTouched,
    isComplete: () => isComplete,
    count: () => count,
  };
}

/** An upload of which the first bytes are known, and which goes out once, from wherever it is to begin. */
export interface Begun {
  /** At most as many as were asked for: fewer when there are no more. */
  readonly head: Uint8Array;
  /** What comes behind the first `start` bytes, `start` being at most those of `head`. */
  from(start: number): Upload;
  /** Ends an upload that nobody took. */
  leave(): Promise<void>;
}

/** Reads the first `count` bytes, or a little more, ahead. */
export async function begin(upload: Upload, count: number): Promise<Begun> {
  const iterator = upload.body()[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let length = 0;
  while (length < count) {
    const step = await iterator.next();
    if (step.done) break;
    held.push(step.value);
    length += step.value.length;
  }
  const head = Buffer.concat(held, Math.min(count, length));
  return {
    head,
    from: (start) => ({
      ...upload,
      size: upload.size === undefined ? undefined : upload.size - start,
      isHeld: false,
      isSendable: () => false,
      body: () => behind(held, iterator, start),
    }),
    leave: async () => void (await iterator.return?.()),
  };
}

async function* behind(
  held: readonly Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
  start = 0,
): AsyncGenerator<Uint8Array> {
  let skipped = 0;
  try {
    for (const chunk of held) {
      const rest = chunk.subarray(Math.min(chunk.length, start - skipped));
      skipped += chunk.length - rest.length;
      if (rest.length > 0) yield rest;
    }
    for (;;) {
      const step = await iterator.next();
      if (step.done) return;
      yield step.value;
    }
  } finally {
    await iterator.return?.();
  }
}
