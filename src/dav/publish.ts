import { TransferError } from '../errors.ts';
import type { HttpResponse } from '../protocol.ts';
import { hasParentNow, partialFailure } from './collections.ts';
import { memberPath } from './paths.ts';
import { statResource, typeOf } from './propfind.ts';
import { ask, type DavService, isDone, refusal } from './service.ts';

/** A resource under one name that is to have another. */
export interface Publication {
  readonly from: string;
  readonly to: string;
  /** Bytes of it, when known: by them a MOVE is recognised whose answer was lost. */
  readonly size?: number | undefined;
  /** An earlier try, whose answer was lost, may have done it. */
  mayBeDone: boolean;
}

/**
 * The file is under its new name and no longer under the old one. What was there before is replaced in one request, but
 * never a directory: `Overwrite: T` would delete it with all its members (RFC 4918 §9.9.3), so that the first request
 * says `F`. May be repeated.
 */
export async function publish(
  service: DavService,
  publication: Publication,
  signal: AbortSignal,
): Promise<void> {
  const { from, to } = publication;
  const doing = `write \`${service.origin}${to}\``;
  try {
    let response = await sendMove(service, publication, 'F', signal);
    if (response.status === 412) {
      await response.discard();
      await refuseDirectory(service, to, doing, signal);
      response = await sendMove(service, publication, 'T', signal);
    }
    if (isDone(response)) return await response.discard();
    if (response.status === 207) throw await partialFailure(response, doing);
    const refused = await refusal(response, response.status === 404 ? `${doing}: \`${from}\`` : doing);
    if (response.status === 404) {
      if (publication.mayBeDone && (await isThere(service, publication, signal))) return;
    } else if (!refused.transient) await refuseDirectory(service, to, doing, signal);
    throw refused;
  } catch (error) {
    publication.mayBeDone = true;
    throw error;
  }
}

/** MOVE, once more where the directory for it was missing. */
async function sendMove(
  service: DavService,
  { from, to }: Publication,
  overwrite: 'F' | 'T',
  signal: AbortSignal,
): Promise<HttpResponse> {
  const request = {
    method: 'MOVE',
    path: memberPath(from),
    headers: { destination: service.origin + memberPath(to), overwrite },
    signal,
  };
  const response = await ask(service, request);
  // 404 is about the partial, not about where it is to go.
  if (response.status === 404 || !(await hasParentNow(service, to, response.status, signal))) return response;
  await response.discard();
  return ask(service, request);
}

/** Servers refuse a directory's place with various statuses. */
async function refuseDirectory(
  service: DavService,
  to: string,
  doing: string,
  signal: AbortSignal,
): Promise<void> {
  if ((await typeOf(service, to, signal)) === 'directory') throw isDirectory(doing);
}

async function isThere(
  service: DavService,
  { to, size }: Publication,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const stat = await statResource(service, to, signal);
    return stat.type === 'file' && size !== undefined && stat.size === size;
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return false;
    throw error;
  }
}

/** The error of writing a file where a directory is. */
export function isDirectory(doing: string): TransferError {
  return new TransferError('invalid-request', `${doing}: is a directory`);
}
