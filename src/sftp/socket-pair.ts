import { connect, createServer, type Server, type Socket } from 'node:net';
import { TransferError } from '../errors.ts';

/** Longest wait for the loopback, ms; where it drops what it is given, pipes must do. */
const PATIENCE = 2000;

/** Where the bytes that come are put. */
export interface IntoMemory {
  /** Where the next ones go; asked for as soon as the last ones came. Never empty. */
  readonly memory: () => Uint8Array;
  readonly came: (count: number) => void;
}

export interface SocketPair {
  readonly ours: Socket;
  /** For a program to run with; nothing is read from it here. */
  readonly theirs: Socket;
}

/**
 * A connection of this process with itself, whose other end a program may have as its standard streams. It holds
 * megabytes in each direction; what node makes for a child holds 200 KiB and is read 64 KiB at a time into fresh memory,
 * so that the two take turns instead of working at the same time. Undefined where there is no loopback.
 */
export async function socketPair(into: IntoMemory): Promise<SocketPair | undefined> {
  const server = createServer({ pauseOnConnect: true, noDelay: true });
  try {
    const port = await listen(server);
    const onread = {
      buffer: into.memory,
      callback: (count: number) => {
        into.came(count);
        return true;
      },
    };
    const ours = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    ours.on('error', () => undefined);
    ours.setTimeout(PATIENCE, () => ours.destroy());
    const pair = await meet(server, ours);
    ours.setTimeout(0);
    return pair;
  } catch {
    return undefined;
  } finally {
    server.close();
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1', exclusive: true, backlog: 8 }, () => {
      const address = server.address();
      if (address !== null && typeof address === 'object') resolve(address.port);
    });
  });
}

/** Who else connects meanwhile comes from another port and is sent away. */
function meet(server: Server, ours: Socket): Promise<SocketPair> {
  return new Promise((resolve, reject) => {
    const others: Socket[] = [];
    const look = () => {
      if (ours.localPort === undefined) return;
      for (const theirs of others.splice(0)) {
        if (theirs.remotePort === ours.localPort) resolve({ ours, theirs });
        else theirs.destroy();
      }
    };
    server.on('connection', (socket) => {
      socket.on('error', () => undefined);
      others.push(socket);
      if (!ours.connecting) look();
    });
    ours.once('connect', look);
    ours.once('close', () => {
      for (const theirs of others) theirs.destroy();
      reject(new TransferError('unavailable', 'no loopback'));
    });
  });
}
