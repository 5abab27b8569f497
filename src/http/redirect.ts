import { TransferError } from '../errors.ts';
import { formatTarget, parseTarget, type Target } from './target.ts';

/** Hops that are followed. Grid storage needs two or three; browsers give up at twenty. */
export const MAX_REDIRECTS = 10;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** True for an answer that sends the request elsewhere. */
export function isRedirect(status: number, headers: Readonly<Record<string, string>>): boolean {
  return REDIRECTS.has(status) && headers.location !== undefined;
}

/** Where a request goes next, and as what. */
export interface Hop {
  readonly target: Target;
  readonly method: string;
}

/**
 * The next hop of a redirect. Rejects with `permission-denied` for https → http, with `unexpected` for a Location that
 * names no http URL and for a 303 that would turn a write into a read: its answer would say nothing about the write.
 */
export function nextHop(
  from: Target,
  method: string,
  answer: { readonly status: number; readonly location: string },
  doing: string,
): Hop {
  const target = resolveLocation(from, answer.location, doing);
  if (from.origin.secure && !target.origin.secure) {
    const to = formatTarget(target, { withQuery: false });
    throw new TransferError(
      'permission-denied',
      `${doing}: refused to follow a redirect from https to \`${to}\``,
      {
        hint: 'give the http URL itself if the transfer may go unencrypted',
      },
    );
  }
  const isRead = method === 'GET' || method === 'HEAD';
  if (isRead || answer.status === 307 || answer.status === 308) return { target, method };
  if (method === 'POST') return { target, method: 'GET' };
  if (answer.status !== 303) return { target, method };
  throw new TransferError(
    'unexpected',
    `${doing}: the server answered 303, which says nothing about the ${method}`,
  );
}

/** `location` relative to `from` (RFC 3986 §5.3), its path as given, its userinfo ignored. */
function resolveLocation(from: Target, location: string, doing: string): Target {
  // Raw UTF-8 in a field arrives as latin1.
  const text = /[\x80-\xff]/.test(location) ? encodeBytes(location) : location;
  const base = from.origin.secure ? 'https:' : 'http:';
  const authority = formatTarget({ origin: from.origin, path: '' }, { withQuery: true });
  let url: string;
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) url = text;
  else if (text.startsWith('//')) url = `${base}${text}`;
  else if (text.startsWith('/')) url = `${authority}${text}`;
  else {
    const path = from.path.replace(/\?.*$/s, '');
    url = text.startsWith('?')
      ? `${authority}${path}${text}`
      : `${authority}${new URL(text || from.path, `http://h${path.replace(/[^/]*$/, '')}`).href.slice('http://h'.length)}`;
  }
  try {
    return parseTarget(url.replace(/^([a-z]+:\/\/)[^/?#]*@/i, '$1'));
  } catch (error) {
    throw new TransferError('unexpected', `${doing}: redirected to something that is no http URL`, {
      cause: error,
    });
  }
}

function encodeBytes(latin1: string): string {
  return latin1.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}
