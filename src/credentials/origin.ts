import type { Location } from '../location.ts';

/** Who would receive a secret. */
export interface Origin {
  readonly scheme: string;
  /** `host[:port]` as given. */
  readonly authority: string;
  /** Without port and brackets. */
  readonly host: string;
  readonly port: number;
  readonly encrypted: boolean;
  readonly loopback: boolean;
}

/** The schemes that secrets are looked up for; a new one starts with a row here. */
const SCHEMES: Readonly<Record<string, KnownScheme>> = {
  http: { port: 80, encrypted: false },
  https: { port: 443, encrypted: true },
  dav: { port: 80, encrypted: false, alike: ['webdav', 'http'] },
  davs: { port: 443, encrypted: true, alike: ['webdavs', 'https'] },
  webdav: { port: 80, encrypted: false, alike: ['dav', 'http'] },
  webdavs: { port: 443, encrypted: true, alike: ['davs', 'https'] },
  ftp: { port: 21, encrypted: false },
  ftps: { port: 990, encrypted: true },
};

interface KnownScheme {
  readonly port: number;
  readonly encrypted: boolean;
  /** Other names of the same service in the same way of speaking with it. */
  readonly alike?: readonly string[];
}

const AUTHORITY = /^(.*?)(?::(\d+))?$/s;

/** RFC 6761 §6.3 for the names; the numbers are whole addresses, so that `127.0.0.1.example.org` is none. */
const LOOPBACK = /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|::1)$/;

/** Undefined for local files and for schemes without a lookup of their own. */
export function originOf(location: Location): Origin | undefined {
  const known = Object.hasOwn(SCHEMES, location.scheme) ? SCHEMES[location.scheme] : undefined;
  if (!known) return undefined;
  const [, bracketed = '', port] = AUTHORITY.exec(location.authority) ?? [];
  const host = (bracketed.startsWith('[') ? bracketed.slice(1, -1) : bracketed).toLowerCase();
  return {
    scheme: location.scheme,
    authority: location.authority.toLowerCase(),
    host,
    port: port === undefined ? known.port : Number(port),
    encrypted: known.encrypted,
    loopback: LOOPBACK.test(host),
  };
}

/** FTP knows user names and passwords only, and learns in the conversation itself whether it is encrypted. */
export function isFtp({ scheme }: Origin): boolean {
  return scheme === 'ftp' || scheme === 'ftps';
}

/** Names of the sections that are about this origin, the most specific first. The default port may be left out. */
export function sectionNames(origin: Origin): readonly string[] {
  const authorities = [origin.authority];
  if (origin.port === SCHEMES[origin.scheme]?.port) {
    const host = origin.authority.replace(/:\d+$/, '');
    authorities.push(origin.authority === host ? `${host}:${origin.port}` : host);
  }
  const schemes = [origin.scheme, ...(SCHEMES[origin.scheme]?.alike ?? [])];
  const whole = schemes.flatMap((scheme) => authorities.map((authority) => `${scheme}://${authority}`));
  return [...whole, ...authorities];
}
