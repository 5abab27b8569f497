import { BlockList, isIP } from 'node:net';
import type { Origin } from './target.ts';
import { parseTarget } from './target.ts';

/** A proxy and what it is shown to let us through. */
export interface HttpProxy {
  readonly origin: Origin;
  /** Value of Proxy-Authorization. Never sent to an origin. */
  readonly authorization?: string;
}

/** The environment, as names and values. */
export type ProxyEnv = Readonly<Record<string, string | undefined>>;

/** Words that sites put where a proxy would stand when there is none. */
const NO_PROXY_WORDS = /^(unavailable|none|null|false|no|off|unset|unknown|direct|-)$/i;

/**
 * The proxy to an origin by `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, lower case before upper case.
 * `HTTP_PROXY` is not read: behind a CGI gateway anybody can set it with a `Proxy:` header. `OSG_SQUID_LOCATION`
 * stands in for an unset `http_proxy`. `warn` hears of values that name no proxy.
 */
export function createProxyChooser(
  env: ProxyEnv,
  warn: (key: string, message: string) => void,
): (origin: Origin) => HttpProxy | undefined {
  const fallback = () => read('all_proxy') ?? read('ALL_PROXY');
  const read = (name: string) => parseProxy(env[name], name, warn);
  const httpProxy =
    read('http_proxy') ?? (isUnset(env.http_proxy) ? squid(env, warn) : undefined) ?? fallback();
  const httpsProxy = read('https_proxy') ?? read('HTTPS_PROXY') ?? fallback();
  const exempt = parseNoProxy(env.no_proxy ?? env.NO_PROXY ?? '');
  return (origin) => {
    const proxy = origin.secure ? httpsProxy : httpProxy;
    return proxy && !exempt(origin) ? proxy : undefined;
  };
}

function isUnset(value: string | undefined): boolean {
  return value === undefined || value.trim() === '';
}

function squid(env: ProxyEnv, warn: (key: string, message: string) => void): HttpProxy | undefined {
  const value = env.OSG_SQUID_LOCATION?.trim();
  if (value === undefined || NO_PROXY_WORDS.test(value)) return undefined;
  return parseProxy(value, 'OSG_SQUID_LOCATION', warn);
}

function parseProxy(
  value: string | undefined,
  name: string,
  warn: (key: string, message: string) => void,
): HttpProxy | undefined {
  const text = value?.trim() ?? '';
  if (text === '') return undefined;
  const shape = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:(.*)@)?([^@/?#]+)[^@]*$/i.exec(text);
  const scheme = shape?.[1]?.toLowerCase() ?? 'http';
  try {
    if (!shape?.[3] || (scheme !== 'http' && scheme !== 'https')) throw new Error('not an http proxy');
    const { origin } = parseTarget(`${scheme}://${withPort(shape[3], scheme)}/`);
    return shape[2] === undefined ? { origin } : { origin, authorization: basic(shape[2]) };
  } catch {
    warn(`proxy:${name}`, `\`${name}\` names no http or https proxy and is ignored`);
    return undefined;
  }
}

/** Without a port the one that proxies listen on by custom (squid's, and curl's default is 1080 for all else). */
function withPort(authority: string, scheme: string): string {
  return /:\d+$/.test(authority) || scheme === 'https' ? authority : `${authority}:80`;
}

function basic(userinfo: string): string {
  const colon = userinfo.indexOf(':');
  const user = decode(colon < 0 ? userinfo : userinfo.slice(0, colon));
  const password = colon < 0 ? '' : decode(userinfo.slice(colon + 1));
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** True for origins that `no_proxy` exempts: `*`, hosts with all their subdomains, `host:port`, addresses, CIDR blocks. */
function parseNoProxy(text: string): (origin: Origin) => boolean {
  const blocks = new BlockList();
  const names: { readonly name: string; readonly port: number | undefined }[] = [];
  for (const raw of text.toLowerCase().split(/[\s,]+/)) {
    if (raw === '') continue;
    if (raw === '*') return () => true;
    const cidr = /^\[?([0-9a-f.:]+)\]?\/(\d{1,3})$/.exec(raw);
    if (cidr?.[1] && addBlock(blocks, cidr[1], Number(cidr[2]))) continue;
    const entry = /^(?:\[([0-9a-f:.]+)\]|([^:]+)|([0-9a-f:.]+))(?::(\d+))?$/.exec(raw);
    if (isIP(raw) === 6) names.push({ name: raw, port: undefined });
    else if (entry) {
      const name = (entry[1] ?? entry[2] ?? entry[3] ?? '').replace(/^\*?\./, '').replace(/\.$/, '');
      names.push({ name, port: entry[4] === undefined ? undefined : Number(entry[4]) });
    }
  }
  return (origin) => {
    const host = (origin.host.split('%', 1)[0] ?? '').replace(/\.$/, '');
    const family = isIP(host);
    if (family !== 0 && blocks.check(host, family === 6 ? 'ipv6' : 'ipv4')) return true;
    return names.some(
      ({ name, port }) =>
        (port === undefined || port === origin.port) &&
        (host === name || (family === 0 && host.endsWith(`.${name}`))),
    );
  };
}

function addBlock(blocks: BlockList, address: string, prefix: number): boolean {
  const family = isIP(address);
  if (family === 0 || prefix > (family === 6 ? 128 : 32)) return false;
  blocks.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  return true;
}
