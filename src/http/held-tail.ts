import { TransferError } from '../errors.ts';
import type { Bytes } from '../protocol.ts';

/** A body whose last bytes wait. */
export interface Held {
  readonly body: Bytes;
  /** Resolves once everything but the held-back tail was handed out. */
  readonly ready: Promise<undefined>;
  release(): void;
  drop(): void;
}

/**
 * Hands out every chunk but the last, which waits for `release`: a server that was told the length, or waits for the
 * last chunk, cannot take an incomplete body for a whole file.
 */
export function holdTail(bytes: Bytes): Held {
  let arrived: (value: undefined) => void = () => undefined;
  let failed: (error: unknown) => void = () => undefined;
  const ready = new Promise<undefined>((resolve, reject) => {
    arrived = resolve;
    failed = reject;
  });
  let go: () => void = () => undefined;
  let stop: (error: unknown) => void = () => undefined;
  const gate = new Promise<void>((resolve, reject) => {
    go = resolve;
    stop = reject;
  });
  gate.catch(() => undefined);
  ready.catch(() => undefined);
  async function* body(): AsyncGenerator<Uint8Array> {
    let last: Uint8Array | undefined;
    try {
      for await (const chunk of bytes) {
        if (last) yield last;
        last = chunk;
      }
    } catch (error) {
      failed(error);
      throw error;
    }
    arrived(undefined);
    await gate;
    if (last) yield last;
  }
  return {
    body: body(),
    ready,
    release: () => go(),
    drop: () => stop(new TransferError('canceled', 'the upload was taken back')),
  };
}
