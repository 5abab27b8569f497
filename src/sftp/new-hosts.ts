import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
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

/** Permission bits do not tell (read-only mounts, root): only opening does. An empty file is what ssh would make as well. */
function isWritable(path: string): boolean {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
    return true;
  } catch {
    return false;
  }
}
