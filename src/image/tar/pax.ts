import type { ByteText } from '../../job/byte-text.ts';
import { malformed } from './header.ts';

/** Keywords and values of extended headers. An empty value takes back what a header before said. */
export type Records = Map<ByteText, ByteText>;

/** Keywords that a header may have many times, in an order that counts (GNU tar manual, "PAX Format, Version 0.0"). */
const REPEATED = new Set(['GNU.sparse.offset', 'GNU.sparse.numbytes']);

/** The longest length that a record can say: headers are bounded far below. */
const LENGTH_DIGITS = 10;

/** The records of an extended header, `LENGTH KEY=VALUE\n` each (POSIX.1-2017, `pax`, pax Extended Header). */
export function readRecords(body: ByteText): Records {
  const records: Records = new Map();
  const sparse: string[] = [];
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(' ', at);
    const digits = body.slice(at, Math.min(space, at + LENGTH_DIGITS));
    const end = at + (/^[1-9][0-9]*$/.test(digits) ? Number(digits) : Number.POSITIVE_INFINITY);
    const equals = body.indexOf('=', space);
    const isWhole = end <= body.length && space < equals - 1 && equals < end - 1 && body[end - 1] === '\n';
    if (!isWhole) throw malformed('an extended header with a malformed record');
    const key = body.slice(space + 1, equals);
    const value = body.slice(equals + 1, end - 1);
    if (REPEATED.has(key)) sparse.push(`${key}=${value}`);
    else records.set(key, value);
    at = end;
  }
  if (sparse.length > 0) records.set('GNU.sparse.map', mapOf(sparse));
  return records;
}

/** Version 0.0 of sparse files as version 0.1 writes it: offset and length in turn. */
function mapOf(pairs: readonly string[]): string {
  return pairs
    .map((pair, at) => {
      const [key, value] = pair.split('=');
      if (key !== (at % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes')) {
        throw malformed('a map of a sparse file whose offsets and lengths do not alternate');
      }
      return value;
    })
    .join(',');
}

/** A whole number of a record, 0 to 2^53-1. */
export function wholeNumber(value: string, key: string): number {
  const number = Number(value);
  if (!/^[0-9]{1,16}$/.test(value) || !Number.isSafeInteger(number)) {
    throw malformed(`an extended header whose \`${key}\` is no whole number`);
  }
  return number;
}

/** Seconds, with a fraction. */
export function seconds(value: string, key: string): number {
  if (!/^-?[0-9]{1,16}(?:\.[0-9]*)?$/.test(value)) {
    throw malformed(`an extended header whose \`${key}\` is no time`);
  }
  const number = Number(value);
  return Number.isInteger(number) ? number : Math.round(number * 1e6) / 1e6;
}
