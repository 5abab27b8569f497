import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** A TCP connection under TLS whose end is looked at. */
export interface WatchedEnd {
  /** What TLS is to run over. */
  readonly transport: Duplex;
  /** `tls` runs over the transport now. */
  watch(tls: Socket): void;
  /** True when TCP ended and TLS had not said that it would (RFC 8446 §6.1). Known once `tls` has ended. */
  wasCut(): boolean;
}

/**
 * Node does not tell a TLS connection that was closed in order from one that was cut, which decides whether a body
 * without a length is whole. Here every encrypted byte passes through a stream of ours, so that the two ends are seen
 * one after the other. Slower than TLS straight on a socket; only for answers that need it.
 */
export function watchEnd(tcp: Socket): WatchedEnd {
  let hasEnded = false;
  let wasCut = false;
  const transport = new Duplex({
    read: () => void tcp.resume(),
    write: (chunk: Uint8Array, _encoding, done) => void tcp.write(chunk, done),
    final: (done) => void tcp.end(done),
    destroy(error, done) {
      tcp.destroy();
      done(error);
    },
  });
  tcp.on('data', (chunk) => {
    if (!transport.push(chunk)) tcp.pause();
  });
  tcp.on('end', () => transport.push(null));
  tcp.on('error', (error) => transport.destroy(error));
  tcp.on('close', () => {
    // After an end in order the reader is still being served.
    if (!tcp.readableEnded) transport.destroy();
  });
  transport.on('error', () => {});
  // Before TLS listens, so that this runs first: whatever came earlier has been decrypted by then.
  transport.on('end', () => {
    wasCut = !hasEnded;
  });
  return {
    transport,
    watch(tls) {
      const push = tls.push.bind(tls);
      tls.push = (chunk: unknown, encoding?: BufferEncoding) => {
        if (chunk === null) hasEnded = true;
        return push(chunk, encoding);
      };
    },
    wasCut: () => wasCut,
  };
}
