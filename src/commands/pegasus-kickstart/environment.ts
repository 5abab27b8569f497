import { type ByteText, fromBytes } from '../../job/byte-text.ts';
import { rawEnvironment } from '../../job/raw-process.ts';
import { isSecretParameter } from '../../location.ts';

/** The environment of the wrapper, byte for byte. */
export interface RawEnvironment {
  get(name: ByteText): ByteText | undefined;
  /** In the place of what has this name, else behind everything. */
  set(name: ByteText, value: ByteText): void;
  /** `NAME=value` each; what is no such thing is kept as well. */
  entries(): readonly ByteText[];
}

/** What the launcher itself adds. */
const OWN = /^(?:BRIDLE_LAUNCHED_(?:ENVIRONMENT|OPEN_FILES)=|UV_THREADPOOL_SIZE=8$)/;

/**
 * What the launcher was started with, as it handed it on: a shell drops variables with odd names and adds `PWD`. Started
 * without the launcher, it is what this process has.
 */
export function startEnvironment(handedOn: string | undefined): RawEnvironment {
  const entries = handedOn
    ? Buffer.from(handedOn, 'base64').toString('latin1').split('\0').slice(0, -1)
    : readOwn();
  return environmentOf(entries);
}

/** An environment of these entries, which are changed with it. */
export function environmentOf(entries: ByteText[]): RawEnvironment {
  const find = (name: ByteText) => entries.findIndex((entry) => entry.startsWith(`${name}=`));
  return {
    get(name) {
      const entry = entries[find(name)];
      return entry?.slice(name.length + 1);
    },
    set(name, value) {
      const at = find(name);
      if (at < 0) entries.push(`${name}=${value}`);
      else entries[at] = `${name}=${value}`;
    },
    entries: () => entries,
  };
}

function readOwn(): ByteText[] {
  try {
    return rawEnvironment()
      .map(fromBytes)
      .filter((entry) => !OWN.test(entry));
  } catch {
    // Without /proc: text is as near as it gets.
    return Object.entries(process.env).map(([name, value = '']) =>
      fromBytes(Buffer.from(`${name}=${value}`)),
    );
  }
}

const SECRET = /SECRET|TOKEN|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|AUTH/i;
/** A path tells where a secret is, not what it is. */
const PLACE = /^(?:\/|\d*$)/;

/** The entries for a record that others will read: what looks like a secret is `***`. */
export function withoutSecrets(entries: readonly ByteText[]): ByteText[] {
  return entries.map((entry) => {
    const at = entry.indexOf('=');
    if (at < 0) return entry;
    const [name, value] = [entry.slice(0, at), entry.slice(at + 1)];
    if (SECRET.test(name) && !PLACE.test(value)) return `${name}=***`;
    return `${name}=${withoutUrlSecrets(value)}`;
  });
}

const URL_SHAPE = /[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s"'<>`\\]+/g;
const PARAMETER = /([?&;#])([^?&;#=]+)=([^&;#]+)/g;

/** URLs may stand anywhere in the value: their passwords, and parameters that grant access, in a fragment too. */
function withoutUrlSecrets(value: ByteText): ByteText {
  return value
    .replace(/(\/\/[^/\s:@]*:)[^/\s@]+@/g, '$1***@')
    .replace(URL_SHAPE, (url) =>
      url.replace(PARAMETER, (whole, mark: string, name: string) =>
        isSecretParameter(name) ? `${mark}${name}=***` : whole,
      ),
    );
}
