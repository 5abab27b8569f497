import { TransferError } from '../errors.ts';
import { createNetrcReader, type NetrcReader } from './netrc-reader.ts';

export interface NetrcEntry {
  readonly login?: string;
  readonly password?: string;
  /** Number or service name: the entry is only for this port. */
  readonly port?: string;
}

export interface Netrc {
  /** By lower-case host without brackets, in the order of the file. */
  readonly machines: ReadonlyMap<string, readonly NetrcEntry[]>;
  /** The `default` entry: for every other machine. */
  readonly fallback?: NetrcEntry;
}

type Draft = { -readonly [K in keyof NetrcEntry]: NetrcEntry[K] };

/**
 * The entries of a netrc file: words apart by white space, `"…"` with `\` before a quote for words that hold some,
 * `#` where a keyword could stand begins a comment, `macdef` runs to an empty line and is ignored.
 * Throws `invalid-request` with the line's number and never its content, which may be a password.
 */
export function parseNetrc(text: string, doing: string): Netrc {
  const reader = createNetrcReader(text, doing);
  const machines = new Map<string, Draft[]>();
  let fallback: Draft | undefined;
  let entry: Draft | undefined;
  for (let keyword = reader.word(); keyword !== undefined; keyword = reader.word()) {
    if (keyword.startsWith('#')) {
      reader.skipLine();
    } else if (keyword === 'macdef') {
      reader.skipMacro();
      entry = undefined;
    } else if (keyword === 'machine') {
      entry = {};
      const host = hostName(reader.value(keyword));
      const others = machines.get(host);
      if (others) others.push(entry);
      else machines.set(host, [entry]);
    } else if (keyword === 'default') {
      entry = {};
      fallback ??= entry;
    } else {
      setField(entry, keyword, reader);
    }
  }
  return { machines, ...(fallback ? { fallback } : {}) };
}

/** The first entry for this host (with this login, when one is asked for); not the `default` one. */
export function findMachine(
  netrc: Netrc,
  wanted: { readonly host: string; readonly port: number; readonly scheme: string; readonly login?: string },
): NetrcEntry | undefined {
  return netrc.machines
    .get(wanted.host)
    ?.find(
      (entry) =>
        (wanted.login === undefined || entry.login === undefined || entry.login === wanted.login) &&
        (entry.port === undefined || entry.port === String(wanted.port) || entry.port === wanted.scheme),
    );
}

function setField(entry: Draft | undefined, keyword: string, reader: NetrcReader): void {
  if (keyword !== 'login' && keyword !== 'password' && keyword !== 'account' && keyword !== 'port') {
    throw new TransferError(
      'invalid-request',
      `${reader.where()}: expected \`machine\`, \`default\`, \`login\`, \`password\`, \`account\`, \`port\` or \`macdef\``,
      { hint: 'put a password with spaces between double quotes' },
    );
  }
  if (!entry) {
    throw new TransferError(
      'invalid-request',
      `${reader.where()}: expected \`machine\` or \`default\` before \`${keyword}\``,
    );
  }
  const value = reader.value(keyword);
  if (keyword !== 'account') entry[keyword] = value;
}

function hostName(text: string): string {
  const lower = text.toLowerCase();
  return lower.startsWith('[') && lower.endsWith(']') ? lower.slice(1, -1) : lower;
}
