import { TransferError } from '../errors.ts';
import { checkLogin } from './basic.ts';
import type { Ini } from './ini.ts';
import { readOption } from './interpolation.ts';
import { type Origin, sectionNames } from './origin.ts';

/** What a section of a credentials file says about one host. */
export interface SectionSecrets {
  readonly name: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly username?: string;
  readonly password?: string;
  readonly verifyTls: boolean;
}

/** The secrets of the section about `origin`; undefined when there is none. */
export type Sections = (origin: Origin) => SectionSecrets | undefined;

const HEADER = 'header.';

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** RFC 9110 §5.5: anything else could end the header and begin another. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that say how a message is framed or which bytes are meant: from outside they would damage the transfer. */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'content-range',
  'expect',
  'if-range',
  'keep-alive',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** As `configparser` reads a boolean. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['yes', true],
  ['true', true],
  ['on', true],
  ['0', false],
  ['no', false],
  ['false', false],
  ['off', false],
]);

/** Looks up sections by host, letter case aside; each host's section is read once. */
export function createSections(ini: Ini, doing: string): Sections {
  const byLowerName = new Map<string, string>();
  for (const name of ini.sections.keys()) {
    const lower = name.toLowerCase();
    if (name === lower || !byLowerName.has(lower)) byLowerName.set(lower, name);
  }
  const known = new Map<string, SectionSecrets | undefined>();
  return (origin) => {
    const key = `${origin.scheme}://${origin.authority}`;
    if (known.has(key)) return known.get(key);
    const lower = sectionNames(origin).find((name) => byLowerName.has(name));
    const name = lower === undefined ? undefined : byLowerName.get(lower);
    const secrets = name === undefined ? undefined : readSection(ini, name, doing);
    known.set(key, secrets);
    return secrets;
  };
}

/** Throws `invalid-request` for a word that is neither yes nor no. */
export function readBoolean(word: string, where: string): boolean {
  const value = BOOLEANS.get(word.toLowerCase());
  if (value !== undefined) return value;
  throw new TransferError('invalid-request', `${where}: expected \`true\` or \`false\``);
}

function readSection(ini: Ini, name: string, doing: string): SectionSecrets {
  const where = `${doing}: section \`[${name}]\``;
  const headers = readHeaders(ini, name, doing);
  const username = readLine(ini, name, 'username', doing);
  const password = readLine(ini, name, 'password', doing);
  const verifyTls = readBoolean(readLine(ini, name, 'verify', doing) ?? 'true', `${where}, key \`verify\``);
  checkLogin({ username: username ?? '', ...(password === undefined ? {} : { password }) }, where);
  return {
    name,
    headers,
    verifyTls,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

function readHeaders(ini: Ini, section: string, doing: string): Readonly<Record<string, string>> {
  const headers: [string, string][] = [];
  for (const key of new Set([...(ini.sections.get(section)?.keys() ?? []), ...ini.defaults.keys()])) {
    if (!key.startsWith(HEADER)) continue;
    const where = `${doing}: section \`[${section}]\`, key \`${key}\``;
    const name = key.slice(HEADER.length);
    if (!TOKEN.test(name)) throw new TransferError('invalid-request', `${where}: expected a header name`);
    if (RESERVED.has(name)) {
      throw new TransferError('invalid-request', `${where}: expected a header that transfers do not set`);
    }
    const value = readLine(ini, section, key, doing) ?? '';
    if (!HEADER_VALUE.test(value)) {
      throw new TransferError(
        'invalid-request',
        `${where}: expected Latin-1 text without control characters`,
      );
    }
    headers.push([name, value]);
  }
  // fromEntries defines; assigning to `__proto__` would not.
  return Object.fromEntries(headers);
}

function readLine(ini: Ini, section: string, key: string, doing: string): string | undefined {
  const value = readOption(ini, section, key, doing);
  if (!value?.includes('\n')) return value;
  throw new TransferError(
    'invalid-request',
    `${doing}: section \`[${section}]\`, key \`${key}\`: expected one line, got several`,
    { hint: 'an indented line continues the value above it' },
  );
}
