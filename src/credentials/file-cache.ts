import { type CredentialFile, identityOf, type NamedFile, readCredentialFile } from './credential-file.ts';

/** A file that changed is noticed after this many milliseconds; until then nothing is asked of the file system. */
const RECHECK_MS = 1000;

/** What `file` holds, parsed; undefined when it does not exist. `again` reads it whatever is known. */
export type FileCache<T> = (file: NamedFile, again: boolean) => Promise<T | undefined>;

interface Loaded<T> {
  readonly identity: string;
  readonly value: T;
}

interface Entry<T> {
  readonly checked: number;
  readonly loaded: Promise<Loaded<T> | undefined>;
}

/**
 * Parses each file once, and again when it changed. Callers at the same time share one look at the file system, also
 * when that fails. `now` counts milliseconds; it may step back.
 */
export function createFileCache<T>(
  parse: (found: CredentialFile, file: NamedFile) => T,
  now: () => number,
): FileCache<T> {
  const entries = new Map<string, Entry<T>>();

  async function load(file: NamedFile): Promise<Loaded<T> | undefined> {
    const found = await readCredentialFile(file);
    return found && { identity: found.identity, value: parse(found, file) };
  }

  async function recheck(file: NamedFile, known: Entry<T>): Promise<Loaded<T> | undefined> {
    const loaded = await known.loaded.catch(() => undefined);
    return loaded && loaded.identity === (await identityOf(file)) ? loaded : load(file);
  }

  return async (file, again) => {
    const key = `${file.variable ?? ''}\0${file.path}`;
    const known = entries.get(key);
    const time = now();
    if (known && !again && time >= known.checked && time - known.checked < RECHECK_MS) {
      return (await known.loaded)?.value;
    }
    const loaded = known && !again ? recheck(file, known) : load(file);
    // Stored before it is read: of two reads at a time, the one that began later stays.
    entries.set(key, { checked: time, loaded });
    return (await loaded)?.value;
  };
}
