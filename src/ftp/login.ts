import { TransferError } from '../errors.ts';
import { isUnknownAuthority, type TlsState, trustMore } from '../http/tls.ts';
import type { Secrets } from '../protocol.ts';
import { type Control, type Dialer, openControl } from './control.ts';
import type { TlsTarget, Work } from './dial.ts';
import type { Reply } from './reply.ts';
import { replyError, wantsTls } from './reply-error.ts';
import type { Session } from './session.ts';

/** `required`: nothing without AUTH TLS; `auto`: logins with a password go encrypted where the server offers it; `off`: never. */
export type TlsPolicy = 'implicit' | 'required' | 'auto' | 'off';

export interface Gate {
  readonly dialer: Dialer;
  readonly policy: TlsPolicy;
  readonly tls: TlsState;
  readonly verifyTls: boolean;
  secrets(again?: boolean): Promise<Secrets>;
  /** Told once per key. */
  warn(key: string, message: string): void;
}

/** What FTP servers have taken for `whoever you are` since RFC 1635. */
const ANONYMOUS = { username: 'anonymous', password: 'anonymous@' };

/** RFC 6761 §6.3: what is sent there stays on this machine. */
export function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\.|^::1$/.test(address);
}

/** A control connection, logged in, and set to send bytes as they are. A refused password is looked up once more: files change. */
export async function logIn(gate: Gate, work: Work): Promise<Session> {
  const secrets = await gate.secrets();
  try {
    return await logInTrusting(gate, secrets, work);
  } catch (error) {
    if (!(error instanceof TransferError) || error.code !== 'unauthenticated') throw error;
    const again = await gate.secrets(true);
    if (again.username === secrets.username && again.password === secrets.password) throw error;
    return logInTrusting(gate, again, work);
  }
}

/** A certificate of an authority that nobody named is looked at once more beside those of the system and of the grid. */
async function logInTrusting(gate: Gate, secrets: Secrets, work: Work): Promise<Session> {
  const { tls } = gate;
  const trusted = tls.ca;
  try {
    return await logInWith(gate, secrets, work);
  } catch (error) {
    if (!isUnknownAuthority(error)) throw error;
    // Another connection, refused at the same time, may have been the first to look for more.
    if (tls.ca === trusted && !trustMore(tls)) throw error;
    return logInWith(gate, secrets, work);
  }
}

async function logInWith(gate: Gate, secrets: Secrets, work: Work): Promise<Session> {
  const { dialer, policy } = gate;
  const verify = gate.verifyTls && secrets.verifyTls !== false;
  const target: TlsTarget = { state: gate.tls, host: dialer.host, verify };
  const implicit = policy === 'implicit' ? target : undefined;
  const control = await openControl(dialer, work, implicit);
  try {
    await greet(control, work);
    const isAnonymous = secrets.username === undefined;
    let isSecure = implicit !== undefined;
    if (policy === 'required' || (policy === 'auto' && !isAnonymous)) {
      isSecure = await authTls(control, { target, work, mustHave: policy === 'required' });
    }
    const refused = await identify(control, gate, { secrets, isSecure, work });
    if (refused && wantsTls(refused) && policy === 'auto' && !isSecure) {
      isSecure = await authTls(control, { target, work, mustHave: true });
      const still = await identify(control, gate, { secrets, isSecure, work });
      if (still) throw loginError(still, secrets, work);
    } else if (refused) throw loginError(refused, secrets, work);
    if (isSecure && !verify) warnUnverified(gate);
    return await prepare(control, isSecure ? target : undefined, { work, isStrict: policy !== 'auto' });
  } catch (error) {
    control.close();
    throw error;
  }
}

async function greet(control: Control, work: Work): Promise<void> {
  for (;;) {
    const { reply, hurry } = control.next(work);
    hurry();
    const greeting = await reply;
    if (greeting.code === 220) return;
    // 120: ready in so many minutes; the greeting follows (RFC 959 §5.4).
    if (greeting.code !== 120) throw replyError(greeting, work.doing);
  }
}

/** Upgrades the control connection (RFC 4217 §4). False where the server does not offer it and need not. */
async function authTls(
  control: Control,
  { target, work, mustHave }: { readonly target: TlsTarget; readonly work: Work; readonly mustHave: boolean },
): Promise<boolean> {
  const reply = await control.ask('AUTH TLS', work);
  if (reply.code === 234 || reply.code === 334) {
    await control.startTls(target, work);
    return true;
  }
  if (!mustHave) return false;
  throw new TransferError('unsupported', `${work.doing}: the server offers no TLS (${reply.code})`, {
    hint: 'nothing was sent that needs protection; BRIDLE_FTP_TLS=auto goes on without TLS where it is not offered',
  });
}

/** USER and PASS. Resolves with the refusal, if there is one. */
async function identify(
  control: Control,
  gate: Gate,
  { secrets, isSecure, work }: { readonly secrets: Secrets; readonly isSecure: boolean; readonly work: Work },
): Promise<Reply | undefined> {
  const isAnonymous = secrets.username === undefined;
  const { username, password = '' } = isAnonymous
    ? ANONYMOUS
    : { username: secrets.username, password: secrets.password };
  if (/[\r\n\0]/.test(username + password) || wire(username + password).includes('\xff')) {
    throw new TransferError(
      'invalid-request',
      `${work.doing}: the login has characters that FTP cannot carry`,
    );
  }
  if (!isAnonymous && !isSecure && !isLoopback(control.address)) {
    const host = `\`ftp://${gate.dialer.host}\``;
    gate.warn(`cleartext ${host}`, `${host}: credentials travel unencrypted: the server offers no TLS`);
  }
  const reply = await control.ask(`USER ${wire(username)}`, work);
  if (reply.code === 230 || reply.code === 232) return undefined;
  if (reply.code !== 331) return reply;
  const answer = await control.ask(`PASS ${wire(password)}`, work);
  return answer.code === 230 || answer.code === 202 ? undefined : answer;
}

/** UTF-8 in the form that commands have here: one character a byte. */
function wire(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function loginError(reply: Reply, secrets: Secrets, work: Work): TransferError {
  const isAnonymous = secrets.username === undefined;
  const { password } = secrets;
  // A server may repeat what it was sent.
  const lines = password ? reply.lines.map((line) => line.replaceAll(wire(password), '***')) : reply.lines;
  const code = reply.code === 332 ? 530 : reply.code;
  const hint = isAnonymous
    ? 'it takes no anonymous login: put user and password into the URL, the credentials file or netrc'
    : undefined;
  const error = replyError({ code, lines }, work.doing, undefined);
  if (error.code !== 'unauthenticated') return error;
  return replyError({ code, lines }, work.doing, hint);
}

function warnUnverified(gate: Gate): void {
  const { host, port } = gate.dialer;
  gate.warn(
    `tls:ftp://${host}:${port}`,
    `the certificate of \`${host}\` is NOT verified: anybody on the way can read and change what is moved`,
  );
}

/** Asks what the server can, protects the data connections, sets the type, and finds out where we are. */
async function prepare(
  control: Control,
  target: TlsTarget | undefined,
  { work, isStrict }: { readonly work: Work; readonly isStrict: boolean },
): Promise<Session> {
  const features = featuresOf(await control.ask('FEAT', work));
  if (features.has('UTF8')) await control.ask('OPTS UTF8 ON', work);
  const protection = target && (await protect(control, target, { work, isStrict }));
  const type = await control.ask('TYPE I', work);
  if (type.code >= 300) throw replyError(type, work.doing);
  const home = homeOf(await control.ask('PWD', work));
  return { control, features, home, protection, onlyPasv: false, hash: undefined, idleSince: 0 };
}

/** RFC 2389 §3.2: one feature a line, each with a space before it. */
export function featuresOf({ code, lines }: Reply): ReadonlyMap<string, string> {
  if (code !== 211) return new Map();
  return new Map(
    lines.slice(1, -1).map((line) => {
      const [, name = '', rest = ''] = /^\s*(\S*)\s*(.*)$/.exec(line) ?? [];
      return [name.toUpperCase(), rest] as const;
    }),
  );
}

async function protect(
  control: Control,
  target: TlsTarget,
  { work, isStrict }: { readonly work: Work; readonly isStrict: boolean },
): Promise<TlsTarget | undefined> {
  await control.ask('PBSZ 0', work);
  const reply = await control.ask('PROT P', work);
  if (reply.code < 300) return target;
  // An `ftp` URL promises no protection, so the login is all that had to be.
  if (!isStrict) return undefined;
  throw new TransferError(
    'unsupported',
    `${work.doing}: the server does not protect data connections (${reply.code})`,
    {
      hint: 'BRIDLE_FTP_TLS=auto and an `ftp` URL encrypt the login alone',
    },
  );
}

/** RFC 959 §6 and appendix II: the path between double quotes, quotes in it doubled. */
export function homeOf({ code, lines }: Reply): string | undefined {
  const path = code === 257 ? /"((?:[^"]|"")*)"/.exec(lines[0] ?? '')?.[1]?.replaceAll('""', '"') : undefined;
  return path?.startsWith('/') ? path : undefined;
}
