import type { TransferError } from '../errors.ts';

/** What hears what a transport brings. */
export interface TransportListener {
  bytes(chunk: Uint8Array): void;
  /** For transports that read into given memory: where the next bytes go, for one `came`. Never empty. */
  memory(): Uint8Array;
  came(count: number): void;
  /** Once, as the last call: why nothing comes any more. */
  ended(why: TransferError): void;
}

/** A two-way stream of bytes to an `sftp` subsystem. */
export interface Transport {
  /** For one listener, at once after it was made. */
  listen(listener: TransportListener): void;
  /** Queues the pieces in order, and sends what a turn of the event loop has queued together; `flushed` is called when they have left this process. */
  write(pieces: readonly Uint8Array[], flushed?: () => void): void;
  /** Ends the connection without waiting for anything; once this returns, nobody writes to the listener's memory any more. */
  kill(): void;
  /** Ends it in good order; resolves when nothing of it is left here. */
  close(): Promise<void>;
}
