import { TransferError } from '../errors.ts';
import type { CopyCall, HttpResponse, Staged } from '../protocol.ts';
import { hasParentNow, partialFailure } from './collections.ts';
import { memberPath } from './paths.ts';
import { statResource } from './propfind.ts';
import { isDirectory, publish } from './publish.ts';
import { ask, type DavService, isDone, refusal } from './service.ts';
import { dropStaged, requireFilePath, stagedFile, stagingPath } from './staged.ts';

/** A copy of the file made by the server under a name of ours, for commit to move. */
export async function copyFile(
  service: DavService,
  from: string,
  to: string,
  call: CopyCall,
): Promise<Staged> {
  const doing = `copy \`${service.origin}${from}\``;
  requireFilePath(to, `write \`${service.origin}${to}\``);
  const source = await statResource(service, from, call.signal);
  if (source.type !== 'file') throw isDirectory(doing);
  const partial = stagingPath(to, call.key);
  try {
    const response = await sendCopy(service, from, partial, call.signal);
    if (response.status === 207) throw await partialFailure(response, doing);
    if (!isDone(response)) throw await refusal(response, doing);
    await response.discard();
    const copied = await statResource(service, partial, call.signal);
    if (source.size !== undefined && copied.size !== undefined && copied.size !== source.size) {
      const text = `${doing}: it has ${source.size} bytes, the server's copy ${copied.size}`;
      throw new TransferError('size-mismatch', text);
    }
    if (copied.size !== undefined) call.progress?.(copied.size);
    return stagedFile(service, { partial, path: to, size: copied.size, digests: copied.digests ?? [] });
  } catch (error) {
    await dropStaged(service, partial);
    throw error;
  }
}

/** COPY, once more where the directory for it was missing. */
async function sendCopy(
  service: DavService,
  from: string,
  partial: string,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const request = {
    method: 'COPY',
    path: memberPath(from),
    headers: { destination: service.origin + partial, overwrite: 'T', depth: '0' },
    signal,
  };
  const response = await ask(service, request);
  if (!(await hasParentNow(service, partial, response.status, signal))) return response;
  await response.discard();
  return ask(service, request);
}

/** The file is at its new place only. Over a file that is there, never over a directory. */
export async function moveFile(
  service: DavService,
  from: string,
  to: string,
  { signal }: CopyCall,
): Promise<void> {
  requireFilePath(to, `write \`${service.origin}${to}\``);
  await publish(service, { from, to, mayBeDone: false }, signal);
}
