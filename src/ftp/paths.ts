import { TransferError } from '../errors.ts';
import type { Session } from './session.ts';

/** RFC 1738 §3.2.2: bytes as they are, which is all there is here. */
const IMAGE_TYPE = /;type=i$/i;

/**
 * The bytes that a URL's path stands for, one character each. What one command line cannot carry is refused by name:
 * CR, LF and NUL (they would end the command and begin another), and 0xFF (servers disagree on whether it is Telnet's).
 */
export function decodePath(path: string, doing: string): string {
  const text = path.replace(IMAGE_TYPE, '');
  const bytes = Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  if (/[\r\n\0\xff]/.test(bytes)) {
    throw new TransferError('invalid-request', `${doing}: expected a name that FTP can carry`, {
      hint: 'line breaks, NUL and the byte 0xFF have no place in a name there',
    });
  }
  return bytes;
}

/**
 * The path of a command: below the directory after login, as RFC 1738 §3.2.2 has it, or absolute where the URL's path
 * begins with `//` or `/%2F`. Always absolute where that directory is known, so that no name is taken for an option.
 */
export function commandPath({ home }: Session, decoded: string): string {
  const relative = decoded.replace(/^\//, '');
  const isAbsolute = relative.startsWith('/');
  const whole = isAbsolute || home === undefined ? relative : `${home === '/' ? '' : home}/${relative}`;
  const trimmed = whole.length > 1 ? whole.replace(/\/+$/, '') : whole;
  return trimmed === '' ? (home === undefined ? '.' : '/') : trimmed;
}

/** The directory that holds `path`; undefined for a top. */
export function parentOf(path: string): string | undefined {
  const at = path.lastIndexOf('/');
  if (at < 0 || path === '/') return undefined;
  return at === 0 ? '/' : path.slice(0, at);
}

export function join(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}
