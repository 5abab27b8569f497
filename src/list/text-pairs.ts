import { TransferError } from '../errors.ts';
import type { TextPair, TextUrl } from '../request.ts';
import { decode, ENTRY_LIMIT, type Flaw, joined } from './flaw.ts';
import type { Chunk } from './input.ts';

/** Reads the text format, in pieces of any size. */
export interface PairScanner {
  /** The pairs whose last line ends in this chunk. */
  push(chunk: Chunk): Generator<TextPair | TransferError | Flaw, void, undefined>;
  /** The pair that the last line completes when it has no line end, or what is missing. */
  end(offset: number): Generator<TextPair | TransferError | Flaw, void, undefined>;
}

/** `# src 1 site`, with anything behind it. */
const SITE = /^# +[\p{L}\p{N}_]+ +[\p{L}\p{N}_]+ +([\p{L}\p{N}_-]+)/u;
const SIDE = /^# *(src|dst)\b/;
const NEWLINE = 0x0a;

/** Lines of this length and less never counted. */
const BLANK_LENGTH = 4;

/** A scanner for lists that begin with `# src`. A pair without site comments has the sites of the pair before it. */
export function createPairScanner(): PairScanner {
  let kept: Uint8Array[] = [];
  let keptBytes = 0;
  let line = 0;
  let sourceSite = '';
  let destinationSite = '';
  let source: TextUrl | undefined;

  function take(text: string): TextPair | TransferError | undefined {
    line++;
    if (text.length <= BLANK_LENGTH) return undefined;
    if (text.startsWith('#')) return readComment(text);
    if (source === undefined) {
      source = { url: text, site: sourceSite, line };
      return undefined;
    }
    const pair = { source, destination: { url: text, site: destinationSite, line } };
    source = undefined;
    return pair;
  }

  function readComment(text: string): TransferError | undefined {
    const side = SIDE.exec(text)?.[1];
    const site = SITE.exec(text)?.[1];
    if (side === 'src' && source !== undefined) {
      const error = unlike(line, 'the URL of a destination', '`# src`');
      source = undefined;
      if (site !== undefined) sourceSite = site;
      return error;
    }
    if (side === 'dst' && source === undefined) return unlike(line, 'the URL of a source', '`# dst`');
    if (site === undefined) return undefined;
    if (source === undefined) sourceSite = site;
    else destinationSite = site;
    return undefined;
  }

  return {
    *push({ bytes, offset }) {
      let from = 0;
      for (;;) {
        const end = bytes.indexOf(NEWLINE, from);
        const length = keptBytes + (end < 0 ? bytes.length : end) - from;
        const start = offset + from - keptBytes;
        if (length > ENTRY_LIMIT) {
          yield { flaw: `expected a line of at most ${ENTRY_LIMIT} bytes`, offset: start };
          return;
        }
        if (end < 0) {
          // Not `slice`, which on a Buffer copies nothing.
          if (from < bytes.length) kept.push(Uint8Array.from(bytes.subarray(from)));
          keptBytes = length;
          return;
        }
        const text = decode({ bytes: joined(kept, bytes.subarray(from, end)), offset: start });
        kept = [];
        keptBytes = 0;
        from = end + 1;
        if (typeof text !== 'string') {
          yield text;
          return;
        }
        const taken = take(text.endsWith('\r') ? text.slice(0, -1) : text);
        if (taken !== undefined) yield taken;
      }
    },
    *end(offset) {
      const text = decode({ bytes: joined(kept, new Uint8Array()), offset: offset - keptBytes });
      if (typeof text !== 'string') {
        yield text;
        return;
      }
      const taken = take(text);
      if (taken !== undefined) yield taken;
      if (source !== undefined)
        yield unlike(source.line, 'a destination behind this source', 'the end of the list');
    },
  };
}

function unlike(line: number, expected: string, given: string): TransferError {
  return new TransferError('invalid-request', `line ${line}: expected ${expected}, got ${given}`);
}
