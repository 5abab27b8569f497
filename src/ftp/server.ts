import { createTlsState } from '../http/tls.ts';
import { createWatchdog, type Timeouts } from '../http/watchdog.ts';
import type { Location } from '../location.ts';
import type { Context } from '../protocol.ts';
import type { Dialer } from './control.ts';
import { type Gate, logIn, type TlsPolicy } from './login.ts';
import { createPool, type Pool } from './pool.ts';

/** Ports of RFC 959 and RFC 4217 (the latter withdrawn in 1999, and in use ever since). */
const PORT = 21;
const IMPLICIT_PORT = 990;

/** Connections that one endpoint has at a time when nobody says how many. */
const CONNECTIONS = 4;

/** As for http; idle connections have a limit of their own in the pool. */
const TIMEOUTS: Timeouts = {
  connect: 10,
  firstByte: 300,
  stall: 60,
  lowSpeed: { bytesPerSecond: 1024, seconds: 100 },
  idle: 4,
};

/** One server under one login. */
export interface Server {
  readonly dialer: Dialer;
  /** Sessions that read files. */
  readonly readers: Pool;
  /** Sessions that do everything else. */
  readonly others: Pool;
  close(): Promise<void>;
}

/** Nothing is connected before it is asked for. */
export function openServer(location: Location, context: Context): Server {
  const { net, ftp } = context.settings ?? {};
  const { host, port } = addressOf(location);
  const timeouts: Timeouts = { ...TIMEOUTS, ...definedOf(net?.timeouts ?? {}) };
  const watchdog = createWatchdog(timeouts, (now) => {
    const isReading = readers.sweep(now);
    return others.sweep(now) || isReading;
  });
  const dialer: Dialer = { host, port, timeouts, watchdog };
  /** A warning is worth one line, not one for each connection. */
  const warned = new Set<string>();
  let gate: Promise<Gate> | undefined;
  const openGate = async (): Promise<Gate> => ({
    dialer,
    policy: policyOf(location, port, ftp?.tls ?? 'auto'),
    tls: createTlsState(await net?.authorities(), net?.moreAuthorities),
    verifyTls: net?.verifyTls ?? true,
    secrets: (again) => context.secrets(again),
    warn(key, message) {
      if (!warned.has(key)) net?.warn(key, message);
      warned.add(key);
    },
  });
  const limit = net?.connections ?? CONNECTIONS;
  const login: Parameters<typeof createPool>[1] = async (work) => {
    gate ??= openGate();
    return logIn(await gate, work);
  };
  const [readers, others] = [createPool(limit, login), createPool(limit, login)];
  return {
    dialer,
    readers,
    others,
    async close() {
      readers.close();
      others.close();
      watchdog.close();
    },
  };
}

function addressOf({ authority, scheme }: Location): { readonly host: string; readonly port: number } {
  const [, bracketed = '', port] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  const host = bracketed.startsWith('[') ? bracketed.slice(1, -1).replace('%25', '%') : bracketed;
  return { host, port: Number(port ?? (scheme === 'ftps' ? IMPLICIT_PORT : PORT)) };
}

/** `ftps` is TLS from the first byte, but for the port where no server speaks so. */
function policyOf({ scheme }: Location, port: number, wanted: Exclude<TlsPolicy, 'implicit'>): TlsPolicy {
  if (scheme !== 'ftps') return wanted;
  return port === PORT ? 'required' : 'implicit';
}

function definedOf<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}
