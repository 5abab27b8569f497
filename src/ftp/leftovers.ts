import { TransferError, toTransferError } from '../errors.ts';
import { leftoverOf } from '../partial-name.ts';
import type { Leftover, LeftoversCall } from '../protocol.ts';
import type { Work } from './dial.ts';
import { markOf } from './inquire.ts';
import { readDirectory } from './listing.ts';
import { commandPath, decodePath, join, parentOf } from './paths.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';
import { type Place, statOrAbsent } from './tree.ts';

/** Directories below one another. A server that shows links as directories can run in a circle. */
const MAX_DEPTH = 200;

/** A directory, as a URL's path without a slash at its end. */
interface Level {
  readonly path: string;
  readonly depth: number;
}

/** Partials beside their destinations, at `path` and below it. The server does not tell the time: ages are by our clock. */
export async function* findLeftovers(
  place: Place,
  path: string,
  call: LeftoversCall & { readonly origin: string },
): AsyncGenerator<Leftover> {
  const doing = `look for leftovers in \`${call.origin}${path}\``;
  const there = await place.pool.use({ doing, signal: call.signal }, (session) =>
    statOrAbsent(session, commandPath(session, decodePath(path, doing)), { doing, signal: call.signal }),
  );
  const bare = path.replace(/\/+$/, '');
  if (there?.type === 'directory') return yield* findBelow(place, { path: bare, depth: 0 }, call);
  const above = parentOf(bare) ?? '';
  const { found } = await lookInto(place, above === '/' ? '' : above, call);
  for (const { key, leftover } of found) if (key === call.key) yield leftover;
}

async function* findBelow(
  place: Place,
  { path, depth }: Level,
  call: LeftoversCall & { readonly origin: string },
): AsyncGenerator<Leftover> {
  if (call.signal.aborted) return;
  let looked: Awaited<ReturnType<typeof lookInto>>;
  try {
    if (depth > MAX_DEPTH) throw new TransferError('unexpected', `more than ${MAX_DEPTH} directories deep`);
    looked = await lookInto(place, path, call);
  } catch (error) {
    if (depth === 0 || call.signal.aborted) throw error;
    return call.onProblem(toTransferError(error, `look into \`${call.origin}${path}\``));
  }
  for (const { leftover } of looked.found) yield leftover;
  for (const name of looked.folders)
    yield* findBelow(place, { path: `${path}/${name}`, depth: depth + 1 }, call);
}

async function lookInto(place: Place, path: string, call: LeftoversCall & { readonly origin: string }) {
  const work: Work = { doing: `look into \`${call.origin}${path}/\``, signal: call.signal };
  return place.pool.use(work, async (session) => {
    const directory = commandPath(session, decodePath(`${path}/`, work.doing));
    const found: { readonly key: string; readonly leftover: Leftover }[] = [];
    const folders: string[] = [];
    for (const { name, stat, problem } of await readDirectory(session, place.dialer, directory, work)) {
      const shape = leftoverOf(name);
      if (problem === undefined && stat.type === 'directory') folders.push(encode(name));
      if (!shape || stat.type === 'directory') continue;
      const own = join(directory, name);
      // A LIST has times without a zone: they are asked for by themselves.
      const modified = stat.modified ?? (await markOf(session, own, work)).modified;
      const leftover: Leftover = {
        kind: shape.kind,
        path: `${path}/${encode(name)}`,
        size: stat.size,
        age: modified && Math.max(0, Date.now() - modified.getTime()),
        isNamedBy: (handle) => handle === name,
        remove: ({ signal }) => {
          const removing = { doing: `remove \`${call.origin}${path}/${name}\``, signal };
          return place.pool.use(removing, (again) => removeFile(again, own, removing));
        },
      };
      found.push({ key: shape.key, leftover });
    }
    return { found, folders };
  });
}

async function removeFile(session: Session, path: string, work: Work): Promise<void> {
  const reply = await session.control.ask(`DELE ${path}`, work);
  if (reply.code < 300 || !(await statOrAbsent(session, path, work))) return;
  throw replyError(reply, work.doing);
}

/** Bytes, one character each, as a part of a URL. */
function encode(name: string): string {
  return name.replace(
    /[^A-Za-z0-9._~-]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
