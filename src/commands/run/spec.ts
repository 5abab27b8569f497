import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { TransferError, toTransferError } from '../../errors.ts';
import { parseDigest } from '../../integrity/expected.ts';
import { maskUrl } from '../../location.ts';
import type { Digest } from '../../protocol.ts';
import type { Place } from '../../request.ts';
import { parseArgument } from '../arguments.ts';

/** One file of a job. */
export interface JobFile {
  /** Its path below the work directory. */
  readonly lfn: string;
  /** Where it comes from, or goes to; the first that works is enough. Empty: an output that stays. */
  readonly places: readonly Place[];
  /** Digests that it must have. */
  readonly expected: readonly Digest[];
  readonly size?: number;
  readonly isExecutable: boolean;
  /** That it cannot be moved is no failure. */
  readonly isCheckpoint: boolean;
}

export interface Spec {
  readonly inputs: readonly JobFile[];
  readonly outputs: readonly JobFile[];
  /** The program and its arguments; empty when the command line names them. */
  readonly command: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

const TOP = ['inputs', 'outputs', 'command'];
const INPUT = ['lfn', 'url', 'urls', 'checksum', 'size', 'executable', 'checkpoint'];
const OUTPUT = ['lfn', 'url', 'urls', 'checksum', 'size', 'checkpoint'];

/** The job that a JSON file describes. Throws `invalid-request` that names the field; a key that is not known is one. */
export function readSpec(file: string): Spec {
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw toTransferError(error, `reading the job \`${file}\``);
    throw new TransferError('invalid-request', `\`${file}\`: expected JSON: ${error.message}`);
  }
  return parseSpec(given, file);
}

export function parseSpec(given: unknown, file: string): Spec {
  const fields = object(given, file, TOP);
  const list = (key: 'inputs' | 'outputs', known: readonly string[]) => {
    const items = fields[key] ?? [];
    if (!Array.isArray(items)) throw unlike(`${file}: ${key}`, 'a list', items);
    return items.map((item, at) => parseFile(item, `${file}: ${key}[${at}]`, known));
  };
  const command = fields.command ?? [];
  if (!Array.isArray(command)) throw unlike(`${file}: command`, 'a list of strings', command);
  for (const [at, word] of command.entries()) {
    if (typeof word !== 'string' || word.includes('\0')) {
      throw unlike(`${file}: command[${at}]`, 'a string without NUL', word);
    }
  }
  const inputs = list('inputs', INPUT);
  for (const [at, { places }] of inputs.entries()) {
    if (places.length === 0) throw unlike(`${file}: inputs[${at}].url`, 'a URL', undefined);
  }
  return { inputs, outputs: list('outputs', OUTPUT), command: command as string[] };
}

/** What `--input` and `--output` are given: `LFN=URL`. */
export function parsePair(text: string, option: string): JobFile {
  const at = text.indexOf('=');
  if (at <= 0 || at === text.length - 1) throw unlike(option, '`LFN=URL`', text);
  return {
    lfn: parseLfn(text.slice(0, at), option),
    places: [parsePlace(text.slice(at + 1), option)],
    expected: [],
    isExecutable: false,
    isCheckpoint: false,
  };
}

function parseFile(given: unknown, field: string, known: readonly string[]): JobFile {
  const {
    lfn,
    url,
    urls,
    checksum = {},
    size,
    executable = false,
    checkpoint = false,
  } = object(given, field, known);
  if (typeof lfn !== 'string') throw unlike(`${field}.lfn`, 'a name', lfn);
  if (url !== undefined && urls !== undefined) throw unlike(`${field}.urls`, 'nothing beside `url`', urls);
  const all: unknown = urls ?? (url === undefined ? [] : [url]);
  if (!Array.isArray(all)) throw unlike(`${field}.urls`, 'a list of URLs', all);
  const name = (at: number) => (urls === undefined ? `${field}.url` : `${field}.urls[${at}]`);
  if (size !== undefined && !(Number.isSafeInteger(size) && Number(size) >= 0)) {
    throw unlike(`${field}.size`, 'a number of bytes', size);
  }
  if (typeof executable !== 'boolean') throw unlike(`${field}.executable`, 'true or false', executable);
  if (typeof checkpoint !== 'boolean') throw unlike(`${field}.checkpoint`, 'true or false', checkpoint);
  return {
    lfn: parseLfn(lfn, `${field}.lfn`),
    places: all.map((one, at) => {
      if (typeof one !== 'string') throw unlike(name(at), 'a URL', one);
      return parsePlace(one, name(at));
    }),
    expected: parseDigests(checksum, `${field}.checksum`),
    ...(size === undefined ? {} : { size: Number(size) }),
    isExecutable: executable,
    isCheckpoint: checkpoint,
  };
}

function parseDigests(given: unknown, field: string): Digest[] {
  return Object.entries(object(given, field)).map(([algorithm, value]) => {
    const name = `${field}.${algorithm.slice(0, 40)}`;
    if (typeof value !== 'string') throw unlike(name, 'hexadecimal digits', value);
    return within(name, () => parseDigest(algorithm, value));
  });
}

const CONTROL = /[\0-\x1f\x7f]|\p{Surrogate}/u;

/** A name that leads nowhere but below the work directory. */
function parseLfn(lfn: string, field: string): string {
  const isPlain = lfn.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isPlain || CONTROL.test(lfn)) {
    throw unlike(field, 'a relative path without empty parts, `.`, `..` and control characters', lfn);
  }
  return lfn;
}

/** The job works elsewhere: paths are made absolute now. */
export function parsePlace(text: string, field: string): Place {
  const place = within(field, () => parseArgument(text));
  const { location } = place;
  if (location.scheme === 'stdio') throw unlike(field, 'a path or URL', text);
  if (location.authority !== '' || !['file', 'symlink', 'moveto'].includes(location.scheme)) return place;
  return { ...place, location: { ...location, path: resolve(location.path) } };
}

function within<T>(field: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    throw new TransferError(error.code, `${field}: ${error.message}`, error.hint ? { hint: error.hint } : {});
  }
}

function object(given: unknown, field: string, known?: readonly string[]): Fields {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw unlike(field, 'an object', given);
  const strange = known && Object.keys(given).find((key) => !known.includes(key));
  if (strange !== undefined) {
    throw new TransferError(
      'invalid-request',
      `${field}: expected only ${known?.map((key) => `\`${key}\``).join(', ')}, got \`${strange.slice(0, 40)}\``,
    );
  }
  return given as Fields;
}

/** Objects and lists are not shown: what stands in the wrong place may be a secret of the right one. */
function unlike(field: string, expected: string, given: unknown): TransferError {
  const shown =
    given === undefined
      ? 'nothing'
      : typeof given === 'object' && given !== null
        ? Array.isArray(given)
          ? 'a list'
          : 'an object'
        : `\`${maskUrl(String(given)).slice(0, 80)}\``;
  return new TransferError('invalid-request', `${field}: expected ${expected}, got ${shown}`);
}
