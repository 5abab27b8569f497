import { TransferError } from '../errors.ts';
import { statusError } from '../http/status.ts';
import type { HttpResponse, RemoveCall } from '../protocol.ts';
import { readMultistatus } from './multistatus.ts';
import { collectionPath, hrefPath, memberPath, parentPath, plainPath } from './paths.ts';
import { membersOf, typeOf } from './propfind.ts';
import { ask, type DavService, isDone, refusal } from './service.ts';

/** Collections that are remembered; a run that knows more directories than this asks again. */
const MOST_KNOWN = 10_000;

/**
 * The collection exists, with those above it. From the leaf upwards: those at the top are often closed to us, and
 * mostly there (RFC 4918 §9.3: 405 exists, 409 the parent is missing).
 */
export async function makeCollection(service: DavService, path: string, signal: AbortSignal): Promise<void> {
  const doing = `make directory \`${service.origin}${path}\``;
  const target = collectionPath(path);
  let response = await ask(service, { method: 'MKCOL', path: target, signal });
  if ((response.status === 409 || response.status === 404) && target !== '/') {
    // Some servers say 409 for what exists, and all say it where a file is in the way.
    const type = await typeOf(service, memberPath(path), signal);
    if (type === undefined) {
      await response.discard();
      await makeCollection(service, parentPath(path), signal);
      response = await ask(service, { method: 'MKCOL', path: target, signal });
    }
  }
  if (!isDone(response)) await requireCollection(service, path, response, doing, signal);
  else await response.discard();
  remember(service, path);
}

/** A refused MKCOL is fine where a directory is: it was there before, or somebody else was quicker. */
async function requireCollection(
  service: DavService,
  path: string,
  response: HttpResponse,
  doing: string,
  signal: AbortSignal,
): Promise<void> {
  const refused = await refusal(response, doing);
  if (refused.code === 'unauthenticated' || refused.code === 'no-space') throw refused;
  const type = await typeOf(service, memberPath(path), signal);
  if (type === 'directory') return;
  if (type === undefined) throw refused;
  throw new TransferError('already-exists', `${doing}: a file has its place`);
}

/** The collection that `path` lies in exists. Asks the server once for each. */
export async function ensureParent(service: DavService, path: string, signal: AbortSignal): Promise<void> {
  const parent = parentPath(path);
  if (parent === '/' || service.known.has(plainPath(parent))) return;
  if ((await typeOf(service, parent, signal)) === 'directory') remember(service, parent);
  else await makeCollection(service, parent, signal);
}

/**
 * True when a refusal with this status was for want of the directory that `path` lies in, which is there now: what was
 * refused may be tried again, once. 409 by the standard (RFC 4918 §9.7.1, §9.8.5), 404 and 500 in practice (nginx).
 */
export async function hasParentNow(
  service: DavService,
  path: string,
  status: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (status !== 409 && status !== 404 && status !== 500) return false;
  const parent = parentPath(path);
  if (parent === '/') return false;
  service.known.clear();
  const type = await typeOf(service, parent, signal);
  // Another upload may have made it between our request and this look. A 500 has other reasons, too.
  if (type !== undefined) return type === 'directory' && status !== 500;
  await makeCollection(service, parent, signal);
  return true;
}

function remember(service: DavService, path: string): void {
  if (service.known.size >= MOST_KNOWN) service.known.clear();
  service.known.add(plainPath(path));
}

/**
 * The file or the directory is gone. DELETE takes a collection with everything below it (RFC 4918 §9.6.1), so what lies
 * there is looked at first.
 */
export async function removeResource(service: DavService, path: string, call: RemoveCall): Promise<void> {
  const doing = `remove \`${service.origin}${path}\``;
  const { signal } = call;
  const type = await typeOf(service, path, signal);
  if (type === undefined) return;
  if (type !== 'directory') return removeFile(service, path, signal);
  if (!call.recursive && (await hasMembers(service, path, signal))) {
    throw new TransferError('already-exists', `${doing}: directory not empty`);
  }
  service.known.clear();
  const response = await ask(service, {
    method: 'DELETE',
    path: collectionPath(path),
    headers: { depth: 'infinity' },
    signal,
  });
  await requireRemoved(response, doing);
}

/** DELETE of what is known to be no directory. */
export async function removeFile(service: DavService, path: string, signal: AbortSignal): Promise<void> {
  const response = await ask(service, { method: 'DELETE', path: memberPath(path), signal });
  await requireRemoved(response, `remove \`${service.origin}${path}\``);
}

async function requireRemoved(response: HttpResponse, doing: string): Promise<void> {
  if (response.status === 207) throw await partialFailure(response, doing);
  if (!isDone(response) && response.status !== 404 && response.status !== 410) {
    throw await refusal(response, doing);
  }
  await response.discard();
}

async function hasMembers(service: DavService, path: string, signal: AbortSignal): Promise<boolean> {
  const own = plainPath(path);
  for await (const { href } of membersOf(service, path, signal)) {
    if (plainPath(hrefPath(href)) !== own) return true;
  }
  return false;
}

/** Members that a failed request about a tree names. */
const MOST_NAMED = 3;

/** The error of a 207 in answer to DELETE, COPY or MOVE: the first of the members' own, and the names of some. */
export async function partialFailure(response: HttpResponse, doing: string): Promise<TransferError> {
  let status: number | undefined;
  const named: string[] = [];
  let count = 0;
  for await (const each of readMultistatus(response.body, doing)) {
    if (each.status === undefined || each.status < 400 || each.status === 424) continue;
    status ??= each.status;
    count++;
    if (named.length < MOST_NAMED) named.push(`\`${each.href.slice(0, 200)}\``);
  }
  if (status === undefined) {
    return new TransferError('unavailable', `${doing}: done in part only, the server does not say why`);
  }
  const more = count > named.length ? ` and ${count - named.length} more` : '';
  return statusError({ status, headers: {} }, `${doing}: done in part only, not ${named.join(', ')}${more}`);
}
