import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { SshSecrets } from '../protocol.ts';

/** Where new host keys of this run are kept when the user's file cannot be written. */
export interface NewHosts {
  /** Undefined: in the usual place. */
  readonly path: string | undefined;
  remove(): void;
}

const USUAL: NewHosts = { path: undefined, remove: () => undefined };

/**
 * A key that was accepted must be the same for the rest of the run, also where nobody can take it down: worker nodes
 * have homes that are absent or read-only.
 */
export function placeForNewHosts(ssh: SshSecrets): NewHosts {
  if (ssh.hostKey !== 'accept-new' || isWritable(ssh.knownHosts ?? join(ssh.home, '.ssh', 'known_hosts')))
    return USUAL;
  const directory = mkdtempSync(join(ssh.environment.TMPDIR || tmpdir(), 'bridle-ssh-'));
  return {
    path: join(directory, 'known_hosts'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** True when the file, or the directory that it would be made in, or the `.ssh` that ssh would make, can be written to. */
function isWritable(path: string): boolean {
  let at = path;
  if (!existsSync(at)) at = dirname(at);
  if (!existsSync(at)) at = dirname(at);
  try {
    accessSync(at, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
