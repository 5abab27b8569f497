import { TransferError } from '../errors.ts';

export interface Login {
  readonly username: string;
  readonly password?: string;
}

/**
 * `login`, when it can be sent as Basic authentication (RFC 7617 §2: no `:` in the name, no control characters).
 * Else throws `invalid-request`; `where` starts the message.
 */
export function checkLogin(login: Login, where: string): Login {
  if (login.username.includes(':')) throw invalid(where, 'a user name without `:`, got one with');
  if (hasControl(login.username))
    throw invalid(where, 'a user name without control characters, got one with');
  if (hasControl(login.password ?? ''))
    throw invalid(where, 'a password without control characters, got one with');
  return login;
}

function hasControl(text: string): boolean {
  return /[\x00-\x1f\x7f]/.test(text);
}

function invalid(where: string, what: string): TransferError {
  return new TransferError('invalid-request', `${where}: expected ${what}`);
}
