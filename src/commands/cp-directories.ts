import type { Endpoints } from '../endpoints.ts';
import { umask } from '../local/copy.ts';
import { isLocal } from '../plan.ts';
import type { Stat } from '../protocol.ts';
import type { Place } from '../request.ts';
import { below } from './arguments.ts';

/** What the owner needs to put files into a directory. */
const OWNER = 0o700;

/** Makes the directories of a tree whose permissions are not the usual ones, before anything lies in them. */
export interface DirectoryMaker {
  /** The walk has come to the directory `name`; parents come before what is in them. */
  enter(name: string, stat: Stat): void;
  /** Resolves when every directory above `name` that was entered and has permissions of its own exists. */
  makeFor(name: string): Promise<void>;
}

export interface DirectoryCall {
  readonly endpoints: Endpoints;
  readonly signal: AbortSignal;
  /** Permissions as they are, whatever the umask says. */
  readonly preserve: boolean;
}

/**
 * For a tree that is copied to `destination`. A private directory must not be readable by others at its new place, not
 * even while it is being filled. What exists keeps its permissions, and setuid, setgid and sticky never come along. One
 * that cannot be made is the failure of the files in it.
 */
export function directoryMaker(destination: Place, call: DirectoryCall): DirectoryMaker | undefined {
  if (!isLocal(destination.location)) return undefined;
  const usual = 0o777 & ~umask();
  let above: { readonly name: string; readonly mode: number; isMade: boolean }[] = [];

  const enclosing = (name: string) =>
    above.filter((one) => one.name === '' || name === one.name || name.startsWith(`${one.name}/`));

  async function make(name: string, mode: number): Promise<void> {
    const place = below(destination, name);
    const location = { ...place.location, scheme: 'file' };
    const endpoint = await call.endpoints.open({ ...place, location });
    await endpoint.mkdir?.(location.path, { signal: call.signal, mode, isExact: call.preserve });
  }

  return {
    enter(name, stat) {
      const wanted = ((stat.mode ?? 0o777) & 0o777) | OWNER;
      const mode = call.preserve ? wanted : wanted & ~umask();
      above = [...enclosing(name), { name, mode, isMade: stat.mode === undefined || mode === usual }];
    },
    async makeFor(name) {
      above = enclosing(name);
      for (const one of above) {
        if (one.isMade) continue;
        one.isMade = true;
        await make(one.name, one.mode).catch(() => undefined);
      }
    },
  };
}
