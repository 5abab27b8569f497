import { createHmac } from 'node:crypto';

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  readonly marker: 'revoked' | 'cert-authority' | undefined;
  /** Patterns with commas between, or `|1|salt|hash`. */
  readonly hosts: string;
  readonly type: string;
  /** The key as it goes over the wire. */
  readonly key: Buffer;
}

export type Verdict = 'known' | 'unknown' | 'changed' | 'revoked';

const LINE =
  /^(?:@(revoked|cert-authority)[ \t]+)?([^ \t]+)[ \t]+([a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]|$)/;

/** The lines of a file that say something; comments and what cannot be read are passed over, as ssh does. */
export function parseKnownHosts(text: string): readonly KnownHost[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const [, marker, hosts, type, key] = LINE.exec(line.trim()) ?? [];
    if (!hosts || !type || !key || hosts.startsWith('#')) return [];
    return [{ marker: marker as KnownHost['marker'], hosts, type, key: Buffer.from(key, 'base64') }];
  });
}

/** What a host is called in such files: with its port in brackets unless that is 22. */
export function hostName(host: string, port: number): string {
  const lower = host.toLowerCase();
  return port === 22 ? lower : `[${lower}]:${port}`;
}

/**
 * Whether the files vouch for `key`. A host that is known by keys of other types only, and shows another, is `changed`:
 * whoever is in between could offer a type that nobody has seen.
 */
export function judgeHostKey(lines: readonly KnownHost[], name: string, key: Buffer): Verdict {
  const about = lines.filter((line) => isAbout(line.hosts, name));
  if (about.some((line) => line.marker === 'revoked' && line.key.equals(key))) return 'revoked';
  const plain = about.filter((line) => line.marker === undefined);
  if (plain.some((line) => line.type === typeOf(key) && line.key.equals(key))) return 'known';
  return plain.length > 0 ? 'changed' : 'unknown';
}

/** Types of the keys that the host is known by: it must be asked for one of these. */
export function knownTypes(lines: readonly KnownHost[], name: string): readonly string[] {
  const about = lines.filter((line) => line.marker === undefined && isAbout(line.hosts, name));
  return [...new Set(about.map(({ type }) => type))];
}

/** A line that vouches for `key`. */
export function knownHostLine(name: string, key: Buffer): string {
  return `${name} ${typeOf(key)} ${key.toString('base64')}\n`;
}

/** The first string of a public key is its type (RFC 4253 §6.6). */
function typeOf(key: Buffer): string {
  return key.length < 4 ? '' : key.toString('latin1', 4, 4 + key.readUInt32BE(0));
}

function isAbout(hosts: string, name: string): boolean {
  if (hosts.startsWith('|')) return isHashOf(hosts, name);
  let isNamed = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    const isNegated = pattern.startsWith('!');
    if (!matches(isNegated ? pattern.slice(1) : pattern, name)) continue;
    if (isNegated) return false;
    isNamed = true;
  }
  return isNamed;
}

/** `|1|`, then salt and HMAC-SHA1 of the name under it, both in base64 (hostfile.c). */
function isHashOf(hosts: string, name: string): boolean {
  const [, kind, salt = '', hash = ''] = hosts.split('|');
  if (kind !== '1') return false;
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
}

/** `*` and `?`. Steps back to the last star only, so that no pattern takes long. */
function matches(pattern: string, name: string): boolean {
  let [p, n, star, mark] = [0, 0, -1, 0];
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p;
      mark = n;
      p += 1;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p += 1;
      n += 1;
    } else if (star >= 0) {
      p = star + 1;
      mark += 1;
      n = mark;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}
