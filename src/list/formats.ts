import { TransferError } from '../errors.ts';
import { type Environment, parseEntry, parsePair, type Request } from '../request.ts';
import { createElementScanner } from './elements.ts';
import { decode, describeByte, type Flaw } from './flaw.ts';
import type { Chunk, ListInput } from './input.ts';
import { findSyntaxError } from './syntax.ts';
import { createPairScanner } from './text-pairs.ts';

/** A request; or what is wrong with one entry; or what is wrong with everything from there on. */
export type Item = Request | TransferError | Flaw;

/** Reads one pass over a list, chunk by chunk. Nothing may be asked of it after a {@link Flaw}. */
export interface Format {
  push(chunk: Chunk): Iterable<Item>;
  end(offset: number): Iterable<Item>;
}

/** The beginning that made a list text, ever since there were two formats. */
const TEXT_START = '# src';

const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];

/** True when the list is in the text format. */
export async function startsAsText(input: ListInput): Promise<boolean> {
  for await (const chunk of input.chunks()) {
    const { bytes } = withoutMark(chunk);
    return Buffer.from(bytes.subarray(0, TEXT_START.length)).toString('latin1') === TEXT_START;
  }
  return false;
}

/** `chunk` without the byte order mark that some editors put in front of UTF-8. */
export function withoutMark(chunk: Chunk): Chunk {
  if (chunk.offset !== 0 || BYTE_ORDER_MARK.some((byte, index) => chunk.bytes[index] !== byte)) return chunk;
  return { bytes: chunk.bytes.subarray(BYTE_ORDER_MARK.length), offset: BYTE_ORDER_MARK.length };
}

/** The JSON format. With a `kind`, entries of another are passed over unchecked. */
export function createJsonFormat(env: Environment, kind?: Request['kind']): Format {
  const scanner = createElementScanner();
  let index = 0;
  return {
    *push(chunk) {
      for (const element of scanner.push(chunk)) {
        const entry = 'flaw' in element ? element : parseJson(element);
        if ('flaw' in entry) {
          yield entry;
          return;
        }
        const position = index++;
        if (kind !== undefined && (entry.value as { type?: unknown } | null)?.type !== kind) continue;
        yield orError(() => parseEntry(entry.value, position, env));
      }
    },
    *end(offset) {
      // A missing quote swallows the rest of the list; the place of the quote says more than the end does.
      const unfinished = scanner.unfinished();
      const broken = unfinished && parseJson(unfinished);
      const flaw = broken && 'flaw' in broken && broken.offset < offset ? broken : scanner.end(offset);
      if (flaw) yield flaw;
    },
  };
}

function parseJson(element: Chunk): { readonly value: unknown } | Flaw {
  const text = decode(element);
  if (typeof text !== 'string') return text;
  try {
    return { value: JSON.parse(text) };
  } catch {
    // The message of the parser repeats the text around the place, and with it perhaps a password.
    const index = findSyntaxError(text);
    const skipped = Buffer.byteLength(text.slice(0, index));
    const byte = element.bytes[skipped];
    const got = byte === undefined ? 'the end of the entry' : describeByte(byte);
    return { flaw: `expected JSON, got ${got}`, offset: element.offset + skipped };
  }
}

/** The text format, which knows transfers only. */
export function createTextFormat(env: Environment, kind?: Request['kind']): Format {
  const scanner = createPairScanner();
  let index = 0;
  function* parse(items: ReturnType<typeof scanner.push>): Generator<Item, void, undefined> {
    for (const item of items) {
      if ('flaw' in item || item instanceof TransferError) {
        yield item;
        continue;
      }
      const position = index++;
      if (kind === undefined || kind === 'transfer') yield orError(() => parsePair(item, position, env));
    }
  }
  return { push: (chunk) => parse(scanner.push(chunk)), end: (offset) => parse(scanner.end(offset)) };
}

function orError(parse: () => Request): Request | TransferError {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TransferError) return error;
    throw error;
  }
}
