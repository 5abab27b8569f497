import fs from 'node:fs';
import { TransferError, toTransferError } from '../../errors.ts';
import { type ByteText, fromBytes, readable, toPath } from '../../job/byte-text.ts';
import type { NamedFile } from '../../job/look.ts';
import { inputTarget, outputTarget, type Target } from '../../job/stdio.ts';
import { type Lookup, MOST_ARGUMENT_BYTES } from '../../job/words.ts';

/** What the wrapper was asked to do, as far as its options were read. */
export interface KickstartOrder {
  /** `usage` and `version` end without a record. */
  action: 'run' | 'usage' | 'version';
  readonly labels: Map<string, ByteText>;
  stdin: Target;
  /** Undefined: captured. */
  stdout: Target | undefined;
  stderr: Target | undefined;
  /** Undefined: standard output. */
  log: ByteText | undefined;
  readonly inputs: NamedFile[];
  readonly outputs: NamedFile[];
  directory: { readonly path: ByteText; readonly isMade: boolean } | undefined;
  isMadeExecutable: boolean;
  /** Characters shown of a captured stream; undefined for all. */
  most: number | undefined;
  isHeaderless: boolean;
  isFull: boolean;
  isQuiet: boolean;
  /** Seconds; 0 for never. */
  termAfter: number;
  killAfter: number;
  isTraced: boolean;
  /** The application and its arguments. */
  command: ByteText[];
  /** What is wrong, but stops nothing. */
  readonly warnings: string[];
}

const DATA_CHARACTERS = 262_144;
const KILL_AFTER = 5;

export const freshOrder = (): KickstartOrder => ({
  action: 'run',
  labels: new Map(),
  stdin: inputTarget('/dev/null'),
  stdout: undefined,
  stderr: undefined,
  log: undefined,
  inputs: [],
  outputs: [],
  directory: undefined,
  isMadeExecutable: false,
  most: DATA_CHARACTERS,
  isHeaderless: false,
  isFull: false,
  isQuiet: false,
  termAfter: 0,
  killAfter: KILL_AFTER,
  isTraced: false,
  command: [],
  warnings: [],
});

type Take = (order: KickstartOrder, value: ByteText, lookup: Lookup) => void;

const label =
  (key: string): Take =>
  ({ labels }, value) => {
    labels.set(key, unquoted(value));
  };

const VALUES: Readonly<Record<string, Take>> = {
  n: label('transformation'),
  N: label('derivation'),
  R: label('resource'),
  L: label('wf-label'),
  T: label('wf-stamp'),
  i: (order, value) => {
    order.stdin = inputTarget(value);
  },
  o: (order, value) => {
    order.stdout = outputTarget(value, 1);
  },
  e: (order, value) => {
    order.stderr = outputTarget(value, 2);
  },
  l: (order, value) => {
    order.log = value === '-' ? undefined : value;
  },
  S: (order, value, lookup) => addFiles(order.inputs, value, lookup, order),
  s: (order, value, lookup) => addFiles(order.outputs, value, lookup, order),
  w: (order, value) => {
    order.directory = { path: unquoted(value), isMade: false };
  },
  W: (order, value) => {
    order.directory = { path: unquoted(value), isMade: true };
  },
  B: (order, value) => {
    order.most = value === 'all' ? undefined : wholeNumber('B', value, 1);
  },
  k: (order, value) => {
    order.termAfter = wholeNumber('k', value, 0);
  },
  K: (order, value) => {
    order.killAfter = wholeNumber('K', value, 1);
  },
};

const FLAGS: Readonly<Record<string, (order: KickstartOrder) => void>> = {
  X: (order) => {
    order.isMadeExecutable = true;
  },
  H: (order) => {
    order.isHeaderless = true;
  },
  f: (order) => {
    order.isFull = true;
  },
  q: (order) => {
    order.isQuiet = true;
  },
  t: trace,
  z: trace,
  Z: trace,
  c: () => undefined,
  F: () => undefined,
};

function trace(order: KickstartOrder): void {
  order.isTraced = true;
}

/**
 * Reads options into `order`: one letter each, its value attached or the next argument, and nothing else in the same
 * argument. The first argument that is none begins the application. Throws `invalid-request` with the original's words;
 * what was read before that stays in `order`.
 */
export function readOptions(args: readonly ByteText[], lookup: Lookup, order: KickstartOrder): void {
  for (let at = 0; at < args.length; at++) {
    const argument = args[at] as ByteText;
    const letter = argument.startsWith('-') ? (argument[1] ?? '') : '';
    if (letter === 'h' || letter === '?' || letter === 'V') {
      order.action = letter === 'V' ? 'version' : 'usage';
      return;
    }
    const flag = FLAGS[letter];
    const take = letter === 'I' ? takeCommand : VALUES[letter];
    if (flag) flag(order);
    else if (take) {
      const isAttached = argument.length > 2;
      const value = isAttached ? argument.slice(2) : args[at + 1];
      if (value === undefined) throw wrong(`-${letter} argument missing`);
      if (!isAttached) at += 1;
      if (letter === 'I' && at + 1 < args.length) throw wrong('No arguments allowed after -I fn');
      take(order, value, lookup);
    } else {
      begin(order, args.slice(letter === '-' ? at + 1 : at));
      return;
    }
  }
  if (order.command.length === 0) order.action = 'usage';
}

function begin(order: KickstartOrder, command: readonly ByteText[]): void {
  if (command.length === 0) order.action = 'usage';
  order.command = [...command];
}

/** One argument a line; empty lines count for nothing. */
function takeCommand(order: KickstartOrder, path: ByteText): void {
  let text: ByteText;
  try {
    text = fromBytes(fs.readFileSync(toPath(path)));
  } catch (error) {
    throw wrong(`While parsing -I ${readable(path)}: ${toTransferError(error, 'reading it').message}`);
  }
  const lines = text.split(/[\r\n]+/).filter((line) => line !== '');
  const long = lines.findIndex((line) => line.length > MOST_ARGUMENT_BYTES);
  if (long >= 0) {
    throw wrong(
      `While parsing -I ${readable(path)}: argument ${long + 1} has more than ${MOST_ARGUMENT_BYTES} bytes`,
    );
  }
  begin(order, lines);
}

/** `[LFN=]PATH`, or `@FILE` with one of these a line, where `#` begins a comment. */
function addFiles(into: NamedFile[], value: ByteText, lookup: Lookup, order: KickstartOrder): void {
  if (!value.startsWith('@')) {
    into.push(namedFile(value));
    return;
  }
  const list = expandName(value.slice(1), lookup);
  try {
    for (const line of fromBytes(fs.readFileSync(toPath(list))).split('\n')) {
      const name = line.replace(/#.*$/s, '').trimEnd();
      if (name !== '') into.push(namedFile(name));
    }
  } catch (error) {
    order.warnings.push(`ERROR: ${toTransferError(error, `list of files \`${readable(list)}\``).message}`);
  }
}

function namedFile(text: ByteText): NamedFile {
  const at = text.indexOf('=');
  return at < 0 ? { lfn: undefined, path: text } : { lfn: text.slice(0, at), path: text.slice(at + 1) };
}

/** `$NAME` and `${NAME}` by their values; what is not set stays as it is. */
function expandName(text: ByteText, lookup: Lookup): ByteText {
  return text.replace(
    /\$(?:(\w+)|\{(\w+)\})/g,
    (whole, name: string | undefined, braced: string | undefined) => lookup(name ?? braced ?? '') ?? whole,
  );
}

function unquoted(text: ByteText): ByteText {
  return /^(["']).*\1$/s.test(text) && text.length > 1 ? text.slice(1, -1) : text;
}

/** Whole, as strtoul(3) reads it with any base. */
function wholeNumber(letter: string, value: ByteText, least: number): number {
  const digits = value.trim();
  const number = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  const isNumber = /^(?:\d+|0x[\da-f]+)$/i.test(digits) && Number.isSafeInteger(number);
  if (isNumber && number >= least) return number;
  throw wrong(`Invalid -${letter} argument: ${readable(value)}`);
}

const wrong = (what: string) => new TransferError('invalid-request', `ERROR: ${what}`);
