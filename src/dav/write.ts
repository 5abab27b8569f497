import { TransferError } from '../errors.ts';
import { declaredDigests } from '../http/digest-fields.ts';
import type { Bytes, Digest, HttpResponse, Staged, Stat, WriteCall } from '../protocol.ts';
import { ensureParent, hasParentNow } from './collections.ts';
import { headStat, statResource } from './propfind.ts';
import { ask, type DavService, isDone, refusal } from './service.ts';
import { dropStaged, requireFilePath, stagedFile, stagingPath } from './staged.ts';
import { type Upload, uploadOf } from './upload.ts';

/**
 * Stores the bytes under a name of ours beside the destination, counts them there, and leaves the MOVE to commit. A
 * failure takes them away again.
 */
export async function writeFile(
  service: DavService,
  path: string,
  bytes: Bytes,
  call: WriteCall,
): Promise<Staged> {
  const doing = `write \`${service.origin}${path}\``;
  requireFilePath(path, doing);
  const partial = stagingPath(path, call.key);
  const upload = await uploadOf(bytes, call.size, doing);
  try {
    const send = (signal: AbortSignal) => put(service, partial, upload, { call, doing, signal });
    // A small body is held in memory and can be sent again; a large one is the engine's to begin anew.
    const answer = await (upload.isHeld ? call.retry(send) : send(call.signal));
    const stored = await count(service, partial, upload.count(), doing, call.signal);
    const digests = [...declaredDigests(answer.headers).whole, ...(stored.digests ?? [])];
    return stagedFile(service, { partial, path, size: stored.size, digests, retry: call.retry });
  } catch (error) {
    if (upload.wasTouched()) await dropStaged(service, partial);
    throw error;
  }
}

interface Put {
  readonly call: WriteCall;
  readonly doing: string;
  readonly signal: AbortSignal;
}

/** One PUT; a second when the directory was missing and nothing of the body is lost. */
async function put(service: DavService, partial: string, upload: Upload, how: Put): Promise<HttpResponse> {
  const { call, doing, signal } = how;
  if (!upload.isHeld) await ensureParent(service, partial, signal);
  const request = { method: 'PUT', path: partial, headers: fieldsOf(call), size: upload.size, signal };
  let response = await ask(service, { ...request, body: upload.body() });
  if (await hasParentNow(service, partial, response.status, signal)) {
    await response.discard();
    if (!upload.isSendable()) {
      throw new TransferError('unavailable', `${doing}: its directory was missing and is made now`);
    }
    response = await ask(service, { ...request, body: upload.body() });
  }
  if (!isDone(response)) throw await refusal(response, doing);
  await response.discard();
  if (upload.isComplete()) return response;
  throw new TransferError('unavailable', `${doing}: the server said done before it had the whole body`);
}

/** What ownCloud names its checksums (`OC-Checksum`), the strongest that it checks first. */
const OC_NAMES: readonly (readonly [Digest['algorithm'], string])[] = [
  ['sha256', 'SHA256'],
  ['sha1', 'SHA1'],
  ['md5', 'MD5'],
  ['adler32', 'ADLER32'],
];

/** For servers of the ownCloud family, which check the one and keep the other; the rest ignore them. */
function fieldsOf(call: WriteCall): Record<string, string> {
  const fields: Record<string, string> = {};
  const whole = (call.expected ?? []).filter(({ partSize }) => partSize === undefined);
  for (const [algorithm, name] of OC_NAMES) {
    const digest = whole.find((each) => each.algorithm === algorithm);
    if (!digest) continue;
    fields['oc-checksum'] = `${name}:${digest.value}`;
    break;
  }
  if (call.modified) fields['x-oc-mtime'] = String(Math.floor(call.modified.getTime() / 1000));
  return fields;
}

/** How much the server has, before anybody can see it. Rejects with `size-mismatch` when that is not what was sent. */
async function count(
  service: DavService,
  partial: string,
  sent: number,
  doing: string,
  signal: AbortSignal,
): Promise<Stat> {
  const stat = await askSize(service, partial, signal);
  if (stat.size === undefined || stat.size === sent) return stat;
  throw new TransferError('size-mismatch', `${doing}: sent ${sent} bytes, the server has ${stat.size}`);
}

async function askSize(service: DavService, partial: string, signal: AbortSignal): Promise<Stat> {
  const stat = await headStat(service, partial, signal);
  return stat.size === undefined ? statResource(service, partial, signal) : stat;
}
