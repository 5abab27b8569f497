import { type ErrorCode, FULL_HINT, TransferError } from '../errors.ts';
import { type Reply, shownText } from './reply.ts';

/** Reply codes (RFC 959 §4.2, RFC 2228 §8, RFC 4217 §5) → ours, where the code alone tells. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  421: 'unavailable',
  425: 'unavailable',
  426: 'unavailable',
  430: 'unauthenticated',
  431: 'unavailable',
  450: 'unavailable',
  451: 'unavailable',
  452: 'no-space',
  500: 'unsupported',
  501: 'invalid-request',
  502: 'unsupported',
  503: 'unexpected',
  504: 'unsupported',
  521: 'permission-denied',
  522: 'permission-denied',
  530: 'unauthenticated',
  532: 'permission-denied',
  533: 'permission-denied',
  534: 'permission-denied',
  536: 'permission-denied',
  550: 'not-found',
  551: 'unexpected',
  552: 'no-space',
  553: 'permission-denied',
};

/**
 * What servers write behind a code that stands for many things: 550 is every refusal of a file, 450 and 451 may be
 * for good. Their texts are those of the C library nearly everywhere. The first that fits is taken.
 */
const TEXTS: readonly (readonly [pattern: RegExp, code: ErrorCode])[] = [
  [/no space|disk (is )?full|quota|insufficient (disk|storage)|out of space|file too large/i, 'no-space'],
  [/too many|maximum number|max(imum)? (clients|connections|users)|connection limit/i, 'rate-limited'],
  [/not empty|(file|directory) exists|already exists/i, 'already-exists'],
  [/no such|not found|does ?n[o']t exist|cannot find|not a directory|unknown file/i, 'not-found'],
  [/not a (regular|plain) file|is a directory/i, 'invalid-request'],
  [/name too long/i, 'invalid-request'],
  [/permission|denied|not permitted|forbidden|not allowed|read-?only|prohibited/i, 'permission-denied'],
];

/** The codes under which a text says more than the code. 421 and 530 are also the answers to one client too many. */
const AMBIGUOUS: ReadonlySet<number> = new Set([421, 426, 450, 451, 452, 530, 550, 551, 552, 553]);

/** What to look at when a login may not do something. */
export const DENIED_HINT =
  '`bridle doctor URL` tells which login is used there, anonymous without a user name; it may not do this';

const WANTS_TLS = /\b(tls|ssl)\b|secure|encrypt|protect/i;

/** True when the server refuses because the connection is not protected (RFC 2228 §8, RFC 4217 §11). */
export function wantsTls({ code, lines }: Reply): boolean {
  if (code === 521 || code === 522 || code === 533 || code === 534) return true;
  return (code === 421 || code === 503 || code === 530 || code === 550) && WANTS_TLS.test(lines.join(' '));
}

/** The error of a reply that is no success. Its text is `doing`, then what the server said. */
export function replyError(reply: Reply, doing: string, hint?: string): TransferError {
  const text = reply.lines.join(' ');
  const said = `${doing}: the server says \`${reply.code} ${shownText(text)}\``;
  const code = wantsTls(reply) ? 'permission-denied' : codeOf(reply, text);
  const advice = hint ?? hintFor(reply, code);
  return new TransferError(code, said, advice === undefined ? {} : { hint: advice });
}

function codeOf({ code }: Reply, text: string): ErrorCode {
  if (AMBIGUOUS.has(code)) {
    const found = TEXTS.find(([pattern]) => pattern.test(text))?.[1];
    // A connection that is going away says nothing about a file, whatever it calls the reason.
    if (found && (code !== 421 || found === 'rate-limited') && (code !== 530 || found === 'rate-limited'))
      return found;
  }
  return CODES[code] ?? (code >= 400 && code < 500 ? 'unavailable' : 'unexpected');
}

function hintFor(reply: Reply, code: ErrorCode): string | undefined {
  if (reply.code === 522 && /reuse|resum/i.test(reply.lines.join(' '))) {
    return 'the server wants the TLS session of the control connection on the data connection, and did not get it';
  }
  if (wantsTls(reply)) {
    return 'the server wants TLS: use an `ftps` URL (TLS from the first byte), or BRIDLE_FTP_TLS=required with this one';
  }
  if (reply.code === 425 && /not permitted/i.test(reply.lines.join(' '))) {
    return 'this server may want the data connection protected: BRIDLE_FTP_TLS=required';
  }
  if (code === 'unauthenticated') {
    return 'the user name or the password is wrong: look at the URL, the credentials file and netrc, in this order';
  }
  if (code === 'no-space') return FULL_HINT;
  if (code === 'permission-denied') return DENIED_HINT;
  return undefined;
}
