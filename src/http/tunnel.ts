import type { Socket } from 'node:net';
import { TransferError } from '../errors.ts';
import { parseHead } from './head.ts';
import type { HttpProxy } from './proxy.ts';
import { statusError } from './status.ts';
import type { Origin } from './target.ts';

/** Bytes that a proxy may answer to CONNECT. */
const MAX_ANSWER = 16 * 1024;

export interface TunnelOptions {
  readonly userAgent: string;
  readonly doing: string;
  readonly signal: AbortSignal;
}

/** Asks the proxy behind `socket` for a tunnel to `origin` (RFC 9110 §9.3.6). The socket is destroyed when there is none. */
export async function openTunnel(
  socket: Socket,
  origin: Origin,
  proxy: HttpProxy,
  options: TunnelOptions,
): Promise<Socket> {
  const host = origin.hostHeader.startsWith('[') ? origin.hostHeader.replace(/\]:.*$/, ']') : origin.host;
  const authority = `${host}:${origin.port}`;
  const authorization =
    proxy.authorization === undefined ? '' : `proxy-authorization: ${proxy.authorization}\r\n`;
  socket.write(
    `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\nuser-agent: ${options.userAgent}\r\n${authorization}\r\n`,
    'latin1',
  );
  const doing = `${options.doing}: asking proxy \`${proxy.origin.hostHeader}\` for a tunnel`;
  try {
    const head = parseHead(await readAnswer(socket, doing, options.signal));
    if (typeof head === 'string') throw new TransferError('unexpected', `${doing}: ${head}`);
    if (head.status < 200 || head.status >= 300) throw statusError(head, doing);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function readAnswer(socket: Socket, doing: string, signal: AbortSignal): Promise<string> {
  let answer = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    function finish(): void {
      socket.off('data', onData);
      socket.off('error', onEnd);
      socket.off('close', onEnd);
      socket.off('end', onEnd);
      signal.removeEventListener('abort', onAbort);
      // Otherwise bytes of the TLS handshake could be lost before TLS listens.
      socket.pause();
    }
    const onAbort = () => {
      finish();
      reject(signal.reason);
    };
    const onEnd = () => {
      finish();
      reject(new TransferError('unavailable', `${doing}: the proxy closed the connection`));
    };
    const onData = (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      const end = answer.indexOf('\r\n\r\n');
      if (end < 0 && answer.length <= MAX_ANSWER) return;
      finish();
      if (end < 0 || end > MAX_ANSWER) {
        reject(
          new TransferError(
            'unexpected',
            `${doing}: the answer of the proxy is longer than ${MAX_ANSWER} bytes`,
          ),
        );
        return;
      }
      // TLS lets the client speak first: bytes behind the answer are not the server's.
      if (end + 4 < answer.length) {
        reject(new TransferError('unexpected', `${doing}: the proxy sent more than an answer`));
        return;
      }
      resolve(answer.toString('latin1', 0, end));
    };
    socket.on('data', onData);
    socket.on('error', onEnd);
    socket.on('close', onEnd);
    socket.on('end', onEnd);
    signal.addEventListener('abort', onAbort);
  });
}
