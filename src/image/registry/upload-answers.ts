import { TransferError } from '../../errors.ts';
import type { HttpResponse } from '../../protocol.ts';

/**
 * Bytes that the registry has, as its `Range` says: `0-LAST`. Debian's registry says `0-0` of nothing and of one byte;
 * pieces are longer than that.
 */
export function storedBytes({ headers }: HttpResponse): number | undefined {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(headers.range ?? '')?.[1];
  if (last === undefined) return undefined;
  return last === '0' ? 0 : Number(last) + 1;
}

/** Where the bytes go from here on, as the registry says; undefined when it does not. Rejects with `permission-denied` from https to http. */
export function nextUrl({ headers, url: asked }: HttpResponse, doing: string): URL | undefined {
  const { location } = headers;
  const url = location === undefined ? undefined : urlOf(location, asked);
  if (url?.protocol === 'http:' && asked.startsWith('https:')) {
    throw new TransferError(
      'permission-denied',
      `${doing}: refused to send it on by http to \`${url.host}\``,
    );
  }
  return url;
}

/** An http or https URL without a login; undefined for anything else. */
export function urlOf(text: string, base: string): URL | undefined {
  if (!URL.canParse(text, base)) return undefined;
  const url = new URL(text, base);
  if (!/^https?:$/.test(url.protocol)) return undefined;
  url.username = '';
  url.password = '';
  return url;
}
