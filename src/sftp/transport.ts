import type { TransferError } from '../errors.ts';

/** What hears what a transport brings. */
export interface TransportListener {
  bytes(chunk: Uint8Array): void;
  /** Once, as the last call: why nothing comes any more. */
  ended(why: TransferError): void;
}

/** A two-way stream of bytes to an `sftp` subsystem. */
export interface Transport {
  /** For one listener, at once after it was made. */
  listen(listener: TransportListener): void;
  /** Queues the pieces in order; `flushed` is called when they have left this process. */
  write(pieces: readonly Uint8Array[], flushed?: () => void): void;
  /** Ends the connection without waiting for anything. */
  kill(): void;
  /** Ends it in good order; resolves when nothing of it is left here. */
  close(): Promise<void>;
}
