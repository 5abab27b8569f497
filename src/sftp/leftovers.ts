import { posix } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { leftoverOf } from '../partial-name.ts';
import type { Leftover, LeftoversCall } from '../protocol.ts';
import { abortable } from './abortable.ts';
import { type Attributes, statOf } from './attributes.ts';
import { isNotFound, lookAt, readDirectory, removeFile, statFile } from './files.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Partials beside their destinations, at `path` and below it. The server does not tell the time: ages are by our clock. */
export async function* findLeftovers(
  sessions: Sessions,
  path: string,
  call: LeftoversCall,
): AsyncGenerator<Leftover> {
  const there = await inSession(
    sessions,
    call.signal,
    `look for leftovers in \`${path}\``,
    (session, doing) =>
      statFile(session, path, doing).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
  );
  if (there && statOf(there).type === 'directory') yield* findBelow(sessions, path, call, 'top');
  else yield* findBeside(sessions, path, call);
}

async function* findBeside(sessions: Sessions, path: string, call: LeftoversCall): AsyncGenerator<Leftover> {
  const directory = posix.dirname(path);
  for (const { name, attributes } of await namesIn(sessions, directory, call.signal)) {
    const shape = leftoverOf(name);
    if (shape?.key === call.key)
      yield leftoverAt(sessions, posix.join(directory, name), shape.kind, attributes);
  }
}

async function* findBelow(
  sessions: Sessions,
  directory: string,
  call: LeftoversCall,
  depth: 'top' | 'below',
): AsyncGenerator<Leftover> {
  if (call.signal.aborted) return;
  const folders: string[] = [];
  try {
    for (const { name, attributes } of await namesIn(sessions, directory, call.signal)) {
      const path = posix.join(directory, name);
      const { type } = statOf(attributes);
      const shape = leftoverOf(name);
      if (type === 'directory') folders.push(path);
      else if (shape) yield leftoverAt(sessions, path, shape.kind, attributes);
    }
  } catch (error) {
    if (depth === 'top' || call.signal.aborted) throw error;
    call.onProblem(toTransferError(error, `look into \`${directory}\``));
  }
  for (const folder of folders) yield* findBelow(sessions, folder, call, 'below');
}

/** In byte order; a name that is no UTF-8 is none of ours, and a directory of such a name cannot be asked for. */
async function namesIn(
  sessions: Sessions,
  directory: string,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly attributes: Attributes }[]> {
  return inSession(sessions, signal, `look into \`${directory}\``, async (session, doing) => {
    const named: { name: string; attributes: Attributes }[] = [];
    for (const { name, attributes } of await readDirectory(session, directory, doing)) {
      const text = name.toString('utf8');
      if (text.includes('/') || !Buffer.from(text, 'utf8').equals(name)) continue;
      const known =
        attributes.permissions === undefined
          ? await lookAt(session, posix.join(directory, text), doing)
          : attributes;
      if (known) named.push({ name: text, attributes: known });
    }
    return named.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  });
}

function leftoverAt(
  sessions: Sessions,
  path: string,
  kind: Leftover['kind'],
  attributes: Attributes,
): Leftover {
  const { size, modified } = statOf(attributes);
  return {
    kind,
    path,
    size,
    age: modified && Math.max(0, Date.now() - modified.getTime()),
    // The way to it may have been another one, by a link; no two have one name.
    isNamedBy: (handle) => posix.basename(handle) === posix.basename(path),
    remove: ({ signal }) =>
      inSession(sessions, signal, `remove \`${path}\``, (session, doing) =>
        removeFile(session, path, doing).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        }),
      ),
  };
}

async function inSession<T>(
  sessions: Sessions,
  signal: AbortSignal,
  doing: string,
  work: (session: Session, doing: string) => Promise<T>,
): Promise<T> {
  const lease = await sessions.acquire(signal, doing);
  try {
    return await abortable(work(lease.session, doing), signal, doing);
  } catch (error) {
    throw error instanceof TransferError ? error : toTransferError(error, doing);
  } finally {
    lease.release();
  }
}
