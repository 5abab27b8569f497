import type { HttpResponse, ReadCall } from '../protocol.ts';

/** A Last-Modified this much older than the answer cannot stand for two versions (RFC 9110 §8.8.2.2). */
const STRONG_DATE_MS = 60_000;

/** A strong entity tag, or a date that is a strong validator; nothing else proves that two answers are of one version. */
export function versionOf(headers: HttpResponse['headers']): string | undefined {
  const tag = headers.etag;
  if (tag !== undefined) return /^"[^"]*"$/.test(tag) ? `etag ${tag}` : undefined;
  const modified = dateOf(headers['last-modified']);
  const date = dateOf(headers.date);
  if (!modified || !date || date.getTime() - modified.getTime() < STRONG_DATE_MS) return undefined;
  return `modified ${headers['last-modified']}`;
}

export function dateOf(text: string | undefined): Date | undefined {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : new Date(time);
}

export function lengthOf(text: string | undefined): number | undefined {
  const length = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  return length;
}

/** `If-Range` with the validator: the server answers with the whole when it has another version (RFC 9110 §13.1.5). */
export function rangeHeaders(call: ReadCall): Record<string, string> {
  const { range, version } = call;
  if (!range || (range.start === 0 && range.end === undefined)) return {};
  const last = range.end === undefined ? '' : String(range.end - 1);
  const headers: Record<string, string> = { range: `bytes=${range.start}-${last}` };
  const validator = version?.slice(version.indexOf(' ') + 1);
  if (validator !== undefined) headers['if-range'] = validator;
  return headers;
}

/** `bytes first-last/total` (RFC 9110 §14.4) as a half-open range; undefined when it makes no sense. */
export function contentRange(
  text: string | undefined,
): { start: number; end: number; total?: number } | undefined {
  const shape = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(text ?? '');
  if (!shape) return undefined;
  const [start, end] = [Number(shape[1]), Number(shape[2]) + 1];
  if (shape[3] === '*') return end > start ? { start, end } : undefined;
  const total = Number(shape[3]);
  return end > start && end <= total ? { start, end, total } : undefined;
}
