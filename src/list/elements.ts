import { describeByte, ENTRY_LIMIT, type Flaw, joined } from './flaw.ts';
import type { Chunk } from './input.ts';

/** Nesting that no entry needs. Without a bound, a file of brackets would cost a gigabyte to parse. */
const DEPTH_LIMIT = 500;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** `[` and `{` differ in this bit alone, as do `]` and `}`. */
const BRACE_BIT = 0x20;

const TEXT_HINT = 'a list of plain URLs begins with `# src 1 site`';

/** Finds the elements of a JSON list that arrives in pieces of any size, without holding more than one of them. */
export interface ElementScanner {
  /** The elements that end in this chunk, whole. Their bytes stand only until the next call. */
  push(chunk: Chunk): Generator<Chunk | Flaw, void, undefined>;
  /** What is wrong with the list ending here. */
  end(offset: number): Flaw | undefined;
  /** The beginning of the element that the last chunk ended in. */
  unfinished(): Chunk | undefined;
}

/** Where the scanner stands between two bytes of the top level. */
type Place = 'start' | 'first' | 'next' | 'after' | 'empty-object' | 'done';
/** What it is inside of. A scalar has no end of its own: the byte behind it is the first that is not part of it. */
type Inside = 'brackets' | 'string' | 'scalar' | undefined;

/**
 * A scanner that yields exactly the elements that `JSON.parse` would, for input that is JSON; for other input it yields
 * what lies between the commas, so that parsing each element finds the rest of the errors.
 */
export function createElementScanner(): ElementScanner {
  let place: Place = 'start';
  let inside: Inside;
  let depth = 0;
  let quoted = false;
  let escaped = false;
  let started = 0;
  let kept: Uint8Array[] = [];
  let keptBytes = 0;

  /** The index behind the element, or -1 when it goes on beyond these bytes. */
  function endOfElement(bytes: Uint8Array, index: number): number {
    if (inside === 'scalar') {
      while (index < bytes.length && !endsScalar(bytes[index]!)) index++;
      return index < bytes.length ? index : -1;
    }
    while (index < bytes.length) {
      if (quoted) {
        if (escaped) {
          escaped = false;
          index++;
        }
        let byte = bytes[index];
        while (byte !== undefined && byte !== QUOTE && byte !== BACKSLASH) byte = bytes[++index];
        if (byte === undefined) return -1;
        index++;
        if (byte === BACKSLASH) {
          escaped = true;
        } else {
          quoted = false;
          if (inside === 'string') return index;
        }
        continue;
      }
      const byte = bytes[index++]!;
      if (byte === QUOTE) {
        quoted = true;
      } else if ((byte | BRACE_BIT) === OPEN_OBJECT) {
        if (++depth > DEPTH_LIMIT) return index;
      } else if ((byte | BRACE_BIT) === CLOSE_OBJECT) {
        if (--depth === 0) return index;
      }
    }
    return -1;
  }

  function enter(byte: number): void {
    quoted = false;
    escaped = false;
    depth = 0;
    inside = byte === QUOTE ? 'string' : (byte | BRACE_BIT) === OPEN_OBJECT ? 'brackets' : 'scalar';
  }

  /** What a byte of the top level means; a text is what was expected instead. */
  function step(byte: number): string | undefined {
    if (place === 'start') {
      if (byte !== OPEN_LIST && byte !== OPEN_OBJECT) return 'a JSON list of entries';
      place = byte === OPEN_LIST ? 'first' : 'empty-object';
    } else if (place === 'empty-object') {
      if (byte !== CLOSE_OBJECT)
        return 'a JSON list of entries and not an object: `[` before the first entry';
      place = 'done';
    } else if (place === 'done') {
      return 'nothing more behind the list';
    } else if (byte === CLOSE_LIST && place !== 'next') {
      place = 'done';
    } else if (place === 'after') {
      if (byte !== COMMA) return '`,` or `]` behind an entry';
      place = 'next';
    } else {
      return 'an entry';
    }
    return undefined;
  }

  return {
    *push({ bytes, offset }) {
      let index = 0;
      let from = 0;
      while (index < bytes.length) {
        if (inside === undefined) {
          const byte = bytes[index]!;
          if (isSpace(byte)) {
            index++;
          } else if ((place === 'first' || place === 'next') && startsElement(byte)) {
            enter(byte);
            started = offset + index;
            from = index;
          } else {
            const isStart = place === 'start';
            const expected = step(byte);
            if (expected !== undefined) {
              const flaw = `expected ${expected}, got ${describeByte(byte)}`;
              yield { flaw, offset: offset + index, ...(isStart ? { hint: TEXT_HINT } : {}) };
              return;
            }
            index++;
          }
          continue;
        }
        const end = endOfElement(bytes, index);
        if (depth > DEPTH_LIMIT || keptBytes + (end < 0 ? bytes.length : end) - from > ENTRY_LIMIT) {
          const what =
            depth > DEPTH_LIMIT ? `nested no deeper than ${DEPTH_LIMIT}` : `of at most ${ENTRY_LIMIT} bytes`;
          yield { flaw: `expected an entry ${what}`, offset: started };
          return;
        }
        if (end < 0) {
          // Not `slice`, which on a Buffer copies nothing.
          kept.push(Uint8Array.from(bytes.subarray(from)));
          keptBytes += bytes.length - from;
          return;
        }
        const element = joined(kept, bytes.subarray(from, end));
        kept = [];
        keptBytes = 0;
        inside = undefined;
        place = 'after';
        index = end;
        yield { bytes: element, offset: started };
      }
    },
    end(offset) {
      if (place === 'done') return undefined;
      if (place === 'start') return { flaw: 'expected a JSON list of entries, got an empty input', offset };
      const hint = 'it may have been cut short on its way';
      return { flaw: 'expected `]` at the end of the list, got the end of the input', offset, hint };
    },
    unfinished() {
      return inside === undefined ? undefined : { bytes: Buffer.concat(kept), offset: started };
    },
  };
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_LIST || isSpace(byte);
}

/** Anything but what has a meaning between elements; whether it is JSON is for the parser to say. */
function startsElement(byte: number): boolean {
  return byte !== COMMA && byte !== CLOSE_LIST && byte !== CLOSE_OBJECT;
}
