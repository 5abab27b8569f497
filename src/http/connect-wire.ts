import { TransferError } from '../errors.ts';
import { type ConnectOptions, connect, type Route } from './connect.ts';
import { ended, nextBuffer, received, receivedChunk } from './receive.ts';
import { createWire, type Wire, type WireOwner } from './wire.ts';

/** A connected wire that reads into its own memory wherever that is possible. */
export async function connectWire(route: Route, owner: WireOwner, options: ConnectOptions): Promise<Wire> {
  const isSecure = route.origin.secure || (route.proxy?.origin.secure ?? false);
  const wire = createWire(owner, isSecure);
  const { socket, isDirect, wasCut } = await connect(route, {
    ...options,
    onread: { buffer: () => nextBuffer(wire), callback: (count) => received(wire, count) },
  });
  if (!wire.reusable || socket.destroyed) {
    socket.destroy();
    const text = `\`${route.origin.hostHeader}\` does not wait for a request`;
    throw new TransferError('unavailable', `${options.doing}: ${text}`);
  }
  wire.socket = socket;
  wire.wasCut = wasCut;
  socket.on('error', (error) => {
    wire.failure = error;
  });
  socket.on('end', () => ended(wire));
  socket.on('close', () => ended(wire));
  if (!isDirect) {
    socket.on('data', (chunk: Buffer) => {
      if (!receivedChunk(wire, chunk)) socket.pause();
    });
  }
  return wire;
}
