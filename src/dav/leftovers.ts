import { toTransferError } from '../errors.ts';
import { statusError } from '../http/status.ts';
import { dateOf } from '../http/validators.ts';
import { leftoverOf } from '../partial-name.ts';
import type { Leftover, LeftoversCall, Stat } from '../protocol.ts';
import { removeFile } from './collections.ts';
import { readMultistatus } from './multistatus.ts';
import { collectionPath, decode, hrefPath, memberPath, parentPath, plainPath } from './paths.ts';
import { askProperties, statOf, typeOf } from './propfind.ts';
import { type DavService, refusal } from './service.ts';

/** What one directory holds for us: files under names of ours, and directories to look into. */
interface Looked {
  readonly leftovers: readonly { readonly key: string; readonly leftover: Leftover }[];
  /** Encoded parts. */
  readonly folders: readonly string[];
}

/** Uploads that were never moved to their name. Their age is by the server's clock, which its answers tell. */
export async function* findLeftovers(
  service: DavService,
  path: string,
  call: LeftoversCall,
): AsyncGenerator<Leftover> {
  if ((await typeOf(service, path, call.signal)) === 'directory') {
    const { leftovers, folders } = await lookInto(service, collectionPath(path), call.signal);
    for (const { leftover } of leftovers) yield leftover;
    yield* findBelow(service, collectionPath(path), folders, call);
    return;
  }
  const { leftovers } = await lookInto(service, parentPath(path), call.signal);
  for (const { key, leftover } of leftovers) if (key === call.key) yield leftover;
}

async function* findBelow(
  service: DavService,
  path: string,
  parts: readonly string[],
  call: LeftoversCall,
): AsyncGenerator<Leftover> {
  for (const part of parts) {
    if (call.signal.aborted) return;
    const folder = `${path}${part}/`;
    let looked: Looked;
    try {
      looked = await lookInto(service, folder, call.signal);
    } catch (error) {
      if (call.signal.aborted) throw error;
      call.onProblem(toTransferError(error, `look into \`${service.origin}${folder}\``));
      continue;
    }
    for (const { leftover } of looked.leftovers) yield leftover;
    yield* findBelow(service, folder, looked.folders, call);
  }
}

async function lookInto(service: DavService, path: string, signal: AbortSignal): Promise<Looked> {
  const doing = `look into \`${service.origin}${path}\``;
  const response = await askProperties(service, path, { depth: '1', signal });
  if (response.status !== 207) throw await refusal(response, doing);
  const now = dateOf(response.headers.date)?.getTime() ?? Date.now();
  const own = plainPath(path);
  const prefix = own === '/' ? '/' : `${own}/`;
  const leftovers: { readonly key: string; readonly leftover: Leftover }[] = [];
  const folders: string[] = [];
  for await (const each of readMultistatus(response.body, doing)) {
    const plain = plainPath(hrefPath(each.href));
    if (plain === own) {
      if (each.status !== undefined && each.status >= 400) {
        throw statusError({ status: each.status, headers: {} }, doing);
      }
      continue;
    }
    const part = plain.startsWith(prefix) ? plain.slice(prefix.length) : '';
    const name = decode(part);
    if (name === undefined || part === '' || /[/\0]/.test(name) || name === '.' || name === '..') continue;
    const stat = statOf(each);
    const shape = leftoverOf(name);
    if (stat.type === 'directory') folders.push(part);
    else if (shape) {
      leftovers.push({
        key: shape.key,
        leftover: {
          ...leftoverAt(service, memberPath(path + part), { ...shape, stat, now }),
          isNamedBy: (handle) => handle === name,
        },
      });
    }
  }
  return { leftovers, folders: folders.sort() };
}

function leftoverAt(
  service: DavService,
  path: string,
  { kind, stat, now }: { readonly kind: Leftover['kind']; readonly stat: Stat; readonly now: number },
): Leftover {
  return {
    kind,
    path,
    size: stat.size,
    age: stat.modified && Math.max(0, now - stat.modified.getTime()),
    remove: ({ signal }) => removeFile(service, path, signal),
  };
}
