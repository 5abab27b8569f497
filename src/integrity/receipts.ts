import { createHash } from 'node:crypto';
import type { Verification } from '../outcome.ts';
import type { Digest } from '../protocol.ts';
import type { FileIdentity } from './digest-file.ts';
import { isAlgorithm, parseDigest } from './expected.ts';

/** What the chain value of the first line stands on. */
const FIRST = 'bridle receipts 1\n';
const CHAIN_SHAPE = /^[0-9a-f]{64}$/;
const NEWLINE = 0x0a;

/** What a file was known by, and when that was last seen. */
export interface SeenFile extends FileIdentity {
  /**
   * UTC with milliseconds. The file was what it is said to be, and no later than this was looked at; absent where it was
   * not looked at again after it was done.
   */
  readonly seen?: string;
}

/** What is known of one file that is done, as one line of a receipts file has it. */
export interface Receipt {
  /** Tries of any pair, the one that succeeded included. */
  readonly attempts: number;
  readonly destination: string;
  /** `{ "sha256": "…" }`, lower-case hexadecimal. */
  readonly digests: Readonly<Record<string, string>>;
  /** UTC with milliseconds. */
  readonly ended: string;
  /** What a destination of this machine was known by when it was done. */
  readonly file?: SeenFile;
  readonly lfn?: string;
  /** Bytes. */
  readonly size: number;
  readonly source: string;
  readonly started: string;
  readonly verification: { readonly source: Verification; readonly destination: Verification };
  readonly versions?: { readonly source?: string; readonly destination?: string };
  readonly who: { readonly bridle: string; readonly host: string; readonly user: string };
}

/**
 * JSON with the names of every object in the order of their UTF-16 units and without white space (RFC 8785 §3.2), so
 * that two writers give one content one text. Members that are `undefined` are left out.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
}

/** A line of a receipts file, with its newline, and the chain value for the line behind it. `previous` is undefined for the first. */
export function chainedLine(
  receipt: Receipt,
  previous: string | undefined,
): { readonly line: string; readonly chain: string } {
  const chain = chainValue(canonicalJson(receipt), previous);
  return { line: `${canonicalJson({ ...receipt, chain })}\n`, chain };
}

/** sha256 over the chain value before, else a fixed text, and the canonical text of the line without its own. */
function chainValue(text: string, previous: string | undefined): string {
  return createHash('sha256')
    .update(previous ?? FIRST)
    .update(text)
    .digest('hex');
}

/** The chain value that a line holds, without its newline; undefined when it is none of ours. */
export function chainOf(line: string): string | undefined {
  const fields = parseObject(line);
  return fields && typeof fields.chain === 'string' && CHAIN_SHAPE.test(fields.chain)
    ? fields.chain
    : undefined;
}

/** The beginning that every line has: its first member by name. */
const BEGINNING = '{"attempts":';

/** True for what a writer that was killed leaves behind the last newline. */
export function isTornLine(piece: string): boolean {
  return piece.startsWith(BEGINNING) || BEGINNING.startsWith(piece);
}

/** A line that was read: what it proves, what is the matter with it, or both. */
export interface ReadReceipt {
  /** From 1. */
  readonly line: number;
  readonly receipt?: ReceiptFacts;
  readonly problem?: string;
  /** True where the line is not what its writer chained behind the line before. */
  readonly isBroken: boolean;
  /** True for a last line without its end. */
  readonly isTorn?: boolean;
}

/** The part of a receipt that can be verified again. */
export interface ReceiptFacts {
  readonly destination: string;
  readonly digests: readonly Digest[];
  readonly size: number;
  readonly file?: SeenFile;
  /** When it was done, UTC with milliseconds; absent where no such time stands there. */
  readonly ended?: string;
  /** The machine that it was done on. */
  readonly host?: string;
  /** The digests stand in an earlier receipt; nobody made them for this one. */
  readonly isReused?: boolean;
}

/**
 * Every line of a receipts file, in order. A line that was changed, and one whose line before was removed, moved or put
 * in, is broken; a line cut short and one that is no receipt has a problem and no receipt. Lines removed at the end leave
 * no trace. Throws nothing.
 */
export function* readReceipts(bytes: Uint8Array): Generator<ReadReceipt> {
  let previous: string | undefined;
  let at = 0;
  for (let line = 1; at < bytes.length; line += 1) {
    const end = bytes.indexOf(NEWLINE, at);
    if (end === -1) {
      yield {
        line,
        isBroken: false,
        isTorn: true,
        problem: 'the line is cut short: its writer was killed, or it was cut',
      };
      return;
    }
    const read = readLine(bytes.subarray(at, end), line, previous);
    yield read.told;
    previous = read.chain;
    at = end + 1;
  }
}

function readLine(
  bytes: Uint8Array,
  line: number,
  previous: string | undefined,
): { readonly told: ReadReceipt; readonly chain: string } {
  const text = decode(bytes);
  const fields = text === undefined ? undefined : parseObject(text);
  const chain = fields?.chain;
  if (text === undefined || !fields || typeof chain !== 'string' || !CHAIN_SHAPE.test(chain)) {
    // Nothing is chained behind it: the next line is broken, too.
    return { told: { line, isBroken: false, problem: 'it is no receipt' }, chain: '' };
  }
  const broken = brokenBy(text, fields, chain, previous);
  const facts = factsOf(fields);
  const problem = broken ?? (typeof facts === 'string' ? facts : undefined);
  return {
    chain,
    told: {
      line,
      isBroken: broken !== undefined,
      ...(problem === undefined ? {} : { problem }),
      ...(typeof facts === 'string' ? {} : { receipt: facts }),
    },
  };
}

function brokenBy(
  text: string,
  fields: Readonly<Record<string, unknown>>,
  chain: string,
  previous: string | undefined,
): string | undefined {
  const { chain: _, ...rest } = fields;
  try {
    // Two members of one name, of which parsing keeps the last, are told here.
    if (canonicalJson(fields) === text && chainValue(canonicalJson(rest), previous) === chain)
      return undefined;
  } catch {
    // Nested too deeply to be ours.
  }
  return 'the chain breaks here: this line was changed, or the one before was changed, moved, removed or put in';
}

function factsOf(fields: Readonly<Record<string, unknown>>): ReceiptFacts | string {
  const { destination, size, digests, file } = fields;
  if (typeof destination !== 'string' || destination === '') return 'it names no destination';
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    return 'its size is no whole number';
  if (!isObject(digests)) return 'it has no digests';
  const read: Digest[] = [];
  for (const [algorithm, value] of Object.entries(digests)) {
    if (!isAlgorithm(algorithm) || typeof value !== 'string') return `its digest \`${algorithm}\` is none`;
    try {
      read.push(parseDigest(algorithm, value));
    } catch (error) {
      return error instanceof Error ? error.message : `its digest \`${algorithm}\` is none`;
    }
  }
  const host = isObject(fields.who) ? fields.who.host : undefined;
  return {
    destination,
    size,
    digests: read,
    ...(isIdentity(file) ? { file } : {}),
    ...(isTime(fields.ended) ? { ended: fields.ended } : {}),
    ...(typeof host === 'string' ? { host } : {}),
    ...(isReused(fields.verification) ? { isReused: true } : {}),
  };
}

function isReused(verification: unknown): boolean {
  if (!isObject(verification)) return false;
  const sides = [verification.source, verification.destination];
  return sides.some(
    (side) => isObject(side) && typeof side.by === 'string' && side.by.startsWith('receipt '),
  );
}

function isTime(value: unknown): value is string {
  return (
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value))
  );
}

function isIdentity(value: unknown): value is SeenFile {
  if (!isObject(value) || typeof value.size !== 'number') return false;
  if (value.seen !== undefined && !isTime(value.seen)) return false;
  return [value.device, value.inode, value.modified, value.statusChanged].every(
    (text) => typeof text === 'string' && /^-?\d+$/.test(text),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
