import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { SshSecrets } from '../protocol.ts';

/** How SFTP reaches a host. */
export type TransportChoice =
  | { readonly kind: 'ssh'; readonly program: string; readonly why: string }
  | { readonly kind: 'ssh2'; readonly why: string };

/** The system's `ssh` where there is one: quicker, and it knows ssh_config, agents and jumps. `BRIDLE_SSH` names another, or `none`. */
export function chooseTransport(ssh: Pick<SshSecrets, 'program' | 'environment'>): TransportChoice {
  if (ssh.program === 'none') return { kind: 'ssh2', why: 'BRIDLE_SSH says `none`' };
  if (ssh.program !== undefined) return { kind: 'ssh', program: ssh.program, why: 'BRIDLE_SSH names it' };
  for (const folder of (ssh.environment.PATH ?? '').split(delimiter)) {
    // An empty entry is the current directory, where anybody may have put an `ssh`.
    if (folder === '') continue;
    const program = join(folder, 'ssh');
    try {
      accessSync(program, constants.X_OK);
      return { kind: 'ssh', program, why: 'it is the first `ssh` in PATH' };
    } catch {}
  }
  return { kind: 'ssh2', why: 'there is no `ssh` in PATH' };
}
