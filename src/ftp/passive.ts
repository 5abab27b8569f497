import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { TransferError } from '../errors.ts';
import { connected, tlsFor, type Work } from './dial.ts';
import type { Reply } from './reply.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';

/** Reads straight into the caller's memory. */
export interface Onread {
  readonly buffer: () => Uint8Array;
  /** False: rest until `resume`. */
  readonly callback: (count: number) => boolean;
}

/** The port of `229 … (|||6446|)` (RFC 2428 §3). The delimiter is any character; the address, when there is one, is not looked at. */
export function epsvPort({ lines }: Reply): number | undefined {
  const shape = /\(([\x21-\x7e])(?:\d*)\1(?:[^()]*?)\1(\d{1,5})\1\)/.exec(lines.join(' '));
  return portOf(Number(shape?.[2]));
}

/** The port of `227 … (h1,h2,h3,h4,p1,p2)`, with or without parentheses (RFC 1123 §4.1.2.6). The address is not looked at. */
export function pasvPort({ lines }: Reply): number | undefined {
  const shape = /\d{1,3},\d{1,3},\d{1,3},\d{1,3},(\d{1,3}),(\d{1,3})/.exec(lines.join(' '));
  const [high, low] = [Number(shape?.[1]), Number(shape?.[2])];
  return high > 255 || low > 255 ? undefined : portOf(high * 256 + low);
}

function portOf(port: number): number | undefined {
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** The port that the server opened for one data connection. EPSV first: PASV says nothing of IPv6, and its address lies behind NAT. */
async function passivePort(session: Session, work: Work): Promise<number> {
  const { control } = session;
  if (!session.onlyPasv) {
    const reply = await control.ask('EPSV', work);
    const port = reply.code === 229 ? epsvPort(reply) : undefined;
    if (port !== undefined) return port;
    // Refused, or a 229 that makes no sense. Over IPv6 there is nothing else (RFC 2428 §1).
    if (control.isIpv6 || (reply.code !== 229 && reply.code < 500)) throw replyError(reply, work.doing);
    session.onlyPasv = true;
  }
  const reply = await control.ask('PASV', work);
  const port = reply.code === 227 ? pasvPort(reply) : undefined;
  if (port === undefined) throw replyError(reply, work.doing);
  return port;
}

/**
 * One data connection, to the address that the control connection goes to, whatever a PASV reply says: it may be that
 * of a network behind NAT, or somebody else's (RFC 2577 §3). TCP is there when this resolves; TLS follows once the
 * server has been told what to do with it: `secured` resolves then, or never.
 */
export async function openData(
  session: Session,
  work: Work,
  options: { readonly seconds: number; readonly onread?: Onread },
): Promise<{ readonly socket: Socket; readonly secured: Promise<void> }> {
  const port = await passivePort(session, work);
  const { control, protection } = session;
  const common = {
    host: control.address,
    port,
    noDelay: true,
    ...(options.onread
      ? { onread: { buffer: options.onread.buffer, callback: options.onread.callback } }
      : {}),
  };
  // Servers refuse a data connection that does not take up the TLS session of its control connection: it may be another's.
  const socket = protection
    ? connectTls({ ...tlsFor(protection, control.session()), ...common })
    : connectTcp(common);
  const secured = new Promise<void>((resolve) => {
    if (protection) socket.once('secureConnect', resolve);
    else resolve();
  });
  const where = `port ${port} of ${control.address}`;
  try {
    await connected(socket, 'connect', { ...work, where, seconds: options.seconds });
  } catch (error) {
    if (!(error instanceof TransferError) || error.code === 'canceled') throw error;
    throw new TransferError(error.code === 'timed-out' ? 'timed-out' : 'unavailable', error.message, {
      cause: error,
      hint: 'the data connection failed: a firewall may close the passive ports of this server',
    });
  }
  return { socket, secured };
}
