import { closeFile, type Handle, letGo } from './files.ts';
import type { Lease } from './sessions.ts';

/**
 * A file that is open on the server, and the session lent for it. The handle is closed once and never again: servers
 * give the same handle out for the next file at once, and a second CLOSE would take that away from whoever has it.
 */
export interface Holding {
  /** Closes the file and waits for what the server says of it; the session stays lent. */
  finish(doing: string): Promise<void>;
  /** Gives everything back; harmless when repeated. */
  close(): void;
}

export function holdFile(lease: Lease, handle: Handle): Holding {
  let isOpen = true;
  return {
    async finish(doing) {
      if (!isOpen) return;
      isOpen = false;
      await closeFile(lease.session, handle, doing);
    },
    close() {
      if (isOpen) letGo(lease.session, handle);
      isOpen = false;
      lease.release();
    },
  };
}
