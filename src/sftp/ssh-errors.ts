import { type ErrorCode, REFUSED_HINT, TransferError, UNKNOWN_HOST_HINT } from '../errors.ts';

/** How an `ssh` ended. */
export interface SshEnd {
  /** `user@host:port` as the user wrote it. */
  readonly name: string;
  readonly stderr: string;
  /** Null when a signal ended it. */
  readonly status: number | null;
}

interface Cause {
  readonly says: RegExp;
  readonly code: ErrorCode;
  readonly text: string;
  readonly hint?: string;
}

const CHECK_KEY = 'ask whoever runs the host for its fingerprint';
const CHANGED = {
  code: 'permission-denied',
  text: 'the host shows another key than the one that is known',
  hint: `somebody may be listening; ${CHECK_KEY}, and only then remove the old key (\`ssh-keygen -R HOST\`)`,
} as const;
const REVOKED = { code: 'permission-denied', text: 'the key of the host is revoked' } as const;
const UNKNOWN = {
  code: 'permission-denied',
  text: 'the key of the host is not known',
  hint: `${CHECK_KEY} and put its key into ~/.ssh/known_hosts or the file that SSH_KNOWN_HOSTS names, or accept new keys with --ssh-host-key accept-new`,
} as const;
const NO_KEY = {
  code: 'unauthenticated',
  text: 'permission denied: the host accepts none of the keys',
  hint: 'name the right key with SSH_PRIVATE_KEY (SSH_PRIVATE_KEY_<site> for one site), in ssh_config, or add it to an agent; a key with a passphrase works through an agent only',
} as const;

/**
 * What ssh prints → our codes, the first that fits. The texts are those of OpenSSH 7.6 to 10 (sshconnect.c,
 * sshconnect2.c, ssh.c, clientloop.c, readconf.c).
 */
const CAUSES: readonly Cause[] = [
  {
    says: /REMOTE HOST IDENTIFICATION HAS CHANGED|Offending .* key in|differs from the key for the IP/i,
    ...CHANGED,
  },
  {
    says: /REVOKED HOST KEY|marked as revoked/i,
    ...REVOKED,
  },
  {
    says: /Host key verification failed|No .* host key is known for/i,
    ...UNKNOWN,
  },
  {
    says: /UNPROTECTED PRIVATE KEY FILE/,
    code: 'unauthenticated',
    text: 'others can read the private key, so ssh does not use it',
    hint: 'chmod 600 the key',
  },
  {
    says: /Load key .*(incorrect passphrase|bad passphrase)/i,
    code: 'unauthenticated',
    text: 'the private key has a passphrase that nobody can be asked for',
    hint: 'add the key to an agent (ssh-add)',
  },
  {
    says: /Load key .*(invalid format|error in libcrypto|No such file|Permission denied)/i,
    code: 'unauthenticated',
    text: 'the private key cannot be read',
    hint: 'expected a private key in OpenSSH or PEM form, which this user may read',
  },
  {
    says: /Too many authentication failures/,
    code: 'unauthenticated',
    text: 'too many keys were tried',
    hint: 'name the right key with SSH_PRIVATE_KEY, or with IdentityFile and IdentitiesOnly in ssh_config',
  },
  {
    says: /Permission denied \(|No supported authentication methods/,
    ...NO_KEY,
  },
  {
    says: /Could not resolve hostname .*(Temporary failure|Try again)/i,
    code: 'unavailable',
    text: 'temporary failure in name resolution',
  },
  {
    says: /Could not resolve hostname/i,
    code: 'not-found',
    text: 'unknown host name',
    hint: UNKNOWN_HOST_HINT,
  },
  { says: /no matching .* found/i, code: 'unsupported', text: 'both sides have no algorithm in common' },
  {
    says: /[Bb]ad configuration option|terminating, \d+ bad|Bad owner or permissions|keyword .* extra arguments|Can't open user config|unsupported option|missing argument/,
    code: 'invalid-request',
    text: 'the configuration of ssh is not in order',
  },
  {
    says: /No user exists for uid/i,
    code: 'invalid-request',
    text: 'ssh needs an entry for this user in the password database',
  },
  { says: /[Ss]ubsystem request failed/, code: 'unsupported', text: 'the host offers no sftp subsystem' },
  { says: /Timeout, server .* not responding/, code: 'stalled', text: 'the host does not answer any more' },
  {
    says: /Connection timed out|Operation timed out|Connection to .* timed out|banner exchange.*timed out/i,
    code: 'timed-out',
    text: 'connection timed out',
  },
  {
    says: /Connection refused/,
    code: 'unavailable',
    text: 'connection refused',
    hint: REFUSED_HINT,
  },
  { says: /No route to host|Network is unreachable/, code: 'unavailable', text: 'host unreachable' },
  {
    says: /Connection (closed|reset)|closed by remote host|kex_exchange_identification|ssh_exchange_identification|Broken pipe|Not allowed at this time|open failed|banner line contains invalid|Bad packet length|message authentication code incorrect|Corrupted MAC/i,
    code: 'unavailable',
    text: 'connection closed by the other side',
  },
];

/** Banners that hosts print before a login would crowd out the reason. */
const SHOWN_LINES = 2;

/** Why an ssh ended, from what it printed. Unknown texts are `unavailable`: ssh tells only by its words. */
export function sshError({ name, stderr, status }: SshEnd): TransferError {
  const cause = CAUSES.find(({ says }) => says.test(stderr));
  const lines = stderr
    .replace(/[^\x20-\x7e\n]/g, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[@*#=\s-]+$/.test(line) && !/^Warning: Permanently added/.test(line));
  if (cause) {
    const said = lines.find((line) => cause.says.test(line)) ?? '';
    return causeError(name, cause, new Error(`ssh said: ${said.slice(0, 300)}`));
  }
  const said = lines.slice(-SHOWN_LINES).join('; ').slice(0, 300);
  const how =
    status === null
      ? 'it was ended by a signal'
      : status === 0
        ? 'the session ended'
        : `it ended with ${status}`;
  return new TransferError('unavailable', `ssh to \`${name}\`: ${said === '' ? how : `${how}: ${said}`}`);
}

/** Why a host is not believed, where we look at its key ourselves. */
export function hostKeyError(name: string, verdict: 'unknown' | 'changed' | 'revoked'): TransferError {
  return causeError(name, { unknown: UNKNOWN, changed: CHANGED, revoked: REVOKED }[verdict]);
}

/** The host let none of our keys in. */
export function noKeyError(name: string, cause: unknown): TransferError {
  return causeError(name, NO_KEY, cause);
}

function causeError(name: string, known: Omit<Cause, 'says'>, cause?: unknown): TransferError {
  return new TransferError(known.code, `ssh to \`${name}\`: ${known.text}`, {
    ...(cause === undefined ? {} : { cause }),
    ...(known.hint === undefined ? {} : { hint: known.hint }),
  });
}

/** Hosts whose new key ssh has just taken down, as it names them. */
export function newlyKnown(stderr: string): readonly string[] {
  return [...stderr.matchAll(/Permanently added (.+?) to the list of known hosts/g)].map(
    ([, host]) => host?.replace(/'/g, '').trim() ?? '',
  );
}
