import { connect as connectTcp, type Socket } from 'node:net';
import { onAbort } from '../abort.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { createWatched, type Timeouts, type Watchdog } from '../http/watchdog.ts';
import { canceled, connected, secure, type TlsTarget, type Work } from './dial.ts';
import { createReplyReader, type Reply } from './reply.ts';
import { replyError } from './reply-error.ts';

/** What the connections of one endpoint share. */
export interface Dialer {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly timeouts: Timeouts;
  readonly watchdog: Watchdog;
}

/** One control connection: commands go out one at a time, each has its replies. */
export interface Control {
  /** Address of the other side, where data connections go, whatever it says. */
  readonly address: string;
  readonly isIpv6: boolean;
  /** Sends one command; resolves with the next reply. */
  ask(command: string, work: Work): Promise<Reply>;
  /** The next reply. The clock for it runs from when `hurry` is called. */
  next(work: Work): { readonly reply: Promise<Reply>; hurry(): void };
  /** True when nothing is owed and nothing came unasked. */
  isClean(): boolean;
  isOpen(): boolean;
  /** From here on everything is encrypted. Rejects when bytes came before: somebody put them in. */
  startTls(target: TlsTarget, work: Work): Promise<void>;
  /** TLS session for data connections to take up; undefined without TLS. */
  session(): Buffer | undefined;
  /** An idle connection does not keep the process alive. */
  idle(isIdle: boolean): void;
  /** Called once, when the connection is gone. */
  onClose(callback: () => void): void;
  close(): void;
}

interface Waiter {
  readonly work: Work;
  readonly forget: () => void;
  resolve(reply: Reply): void;
  reject(error: TransferError): void;
}

/** Connects, without waiting for the greeting. */
export async function openControl(
  dialer: Dialer,
  work: Work,
  implicit: TlsTarget | undefined,
): Promise<Control> {
  const { host, port, timeouts } = dialer;
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  if (work.signal.aborted) throw canceled(work);
  const socket = connectTcp({ host, port, autoSelectFamily: true, noDelay: true, keepAlive: true });
  await connected(socket, 'connect', { ...work, where, seconds: timeouts.connect });
  const control = createControl(socket, dialer, where);
  if (implicit) await control.startTls(implicit, work);
  return control;
}

function createControl(tcp: Socket, dialer: Dialer, where: string): Control {
  let socket = tcp;
  let reader = createReplyReader();
  let waiter: Waiter | undefined;
  let failure: Error | undefined;
  let gone = false;
  let session: Buffer | undefined;
  const unasked: Reply[] = [];
  const closing: (() => void)[] = [];
  const address = tcp.remoteAddress ?? dialer.host;
  const isIpv6 = tcp.remoteFamily === 'IPv6';

  const watched = createWatched('nothing', (code, text) =>
    kill(new TransferError(code, `${waiter?.work.doing}: ${text}`)),
  );

  function settle(): Waiter | undefined {
    const settled = waiter;
    waiter = undefined;
    settled?.forget();
    watched.owes = 'nothing';
    dialer.watchdog.unwatch(watched);
    return settled;
  }

  function kill(error?: TransferError): void {
    if (gone) return;
    gone = true;
    socket.destroy();
    tcp.destroy();
    const waiting = settle();
    waiting?.reject(error ?? lost(waiting.work));
    for (const callback of closing.splice(0)) callback();
  }

  function lost({ doing }: Work): TransferError {
    const reason = failure && toTransferError(failure, doing);
    const code = reason && reason.code !== 'unexpected' ? reason.code : 'unavailable';
    return new TransferError(code, `${doing}: \`${where}\` closed the control connection`, {
      cause: failure,
    });
  }

  function receive(chunk: Buffer): void {
    watched.moved += chunk.length;
    let replies: Reply[];
    try {
      replies = reader.push(chunk.toString('latin1'));
    } catch (error) {
      const doing = waiter?.work.doing ?? `connection with \`${where}\``;
      const { message, hint } = toTransferError(error, 'read a reply');
      kill(new TransferError('unexpected', `${doing}: ${message}`, hint === undefined ? {} : { hint }));
      return;
    }
    for (const reply of replies) {
      const waiting = settle();
      if (waiting) waiting.resolve(reply);
      else unasked.push(reply);
    }
  }

  function listen(): void {
    socket.on('data', receive);
    socket.on('error', (error) => {
      failure ??= error;
    });
    socket.on('end', () => kill());
    socket.on('close', () => kill());
  }
  listen();

  function next(work: Work): { readonly reply: Promise<Reply>; hurry(): void } {
    const reply = new Promise<Reply>((resolve, reject) => {
      if (work.signal.aborted) {
        kill();
        return reject(canceled(work));
      }
      const early = unasked.shift();
      if (early) return resolve(early);
      if (gone) return reject(lost(work));
      const forget = onAbort(work.signal, () => kill(canceled(work)));
      waiter = { work, forget, resolve, reject };
    });
    const mine = waiter;
    const hurry = () => {
      if (!mine || waiter !== mine) return;
      watched.owes = 'answer';
      watched.silentMs = 0;
      dialer.watchdog.watch(watched);
    };
    return { reply, hurry };
  }

  return {
    address,
    isIpv6,
    next,
    async ask(command, work) {
      // Defence in depth: whoever made the command has looked at its names.
      if (/[\r\n\0\xff]/.test(command)) {
        throw new TransferError('invalid-request', `${work.doing}: a command must be one line`);
      }
      if (waiter) {
        kill();
        throw new TransferError('unexpected', `${work.doing}: another command waits for its answer`);
      }
      const stray = unasked.shift();
      if (stray) {
        kill();
        throw stray.code === 421
          ? replyError(stray, work.doing)
          : new TransferError('unavailable', `${work.doing}: the server answered twice (${stray.code})`);
      }
      const { reply, hurry } = next(work);
      if (!gone) {
        socket.write(`${command}\r\n`, 'latin1');
        hurry();
      }
      return reply;
    },
    isClean: () => !gone && !waiter && unasked.length === 0 && !reader.isPartial(),
    isOpen: () => !gone,
    async startTls(target, work) {
      if (unasked.length > 0 || reader.isPartial()) {
        kill();
        throw new TransferError('unexpected', `${work.doing}: \`${where}\` sent bytes between AUTH and TLS`);
      }
      socket.removeAllListeners('data');
      socket.removeAllListeners('end');
      socket.removeAllListeners('close');
      const tls = secure(socket, target);
      tls.on('session', (data: Buffer) => {
        session = data;
      });
      socket = tls;
      reader = createReplyReader();
      try {
        await connected(tls, 'secureConnect', { ...work, where, seconds: dialer.timeouts.connect });
      } catch (error) {
        kill();
        throw error;
      }
      session ??= tls.getSession();
      listen();
    },
    session: () => session,
    idle: (isIdle) => void (isIdle ? tcp.unref() : tcp.ref()),
    onClose: (callback) => void (gone ? callback() : closing.push(callback)),
    close: () => kill(),
  };
}
