import { TransferError } from '../errors.ts';
import type { Digest, HttpResponse, WriteCall } from '../protocol.ts';
import { ensureParent, hasParentNow } from './collections.ts';
import { ask, type DavService, isDone, refusal } from './service.ts';
import type { Upload } from './upload.ts';

export interface Put {
  readonly doing: string;
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
}

/** One PUT; a second when the directory was missing and nothing of the body is lost. */
export async function put(
  service: DavService,
  partial: string,
  upload: Upload,
  how: Put,
): Promise<HttpResponse> {
  const { headers, doing, signal } = how;
  if (!upload.isHeld) await ensureParent(service, partial, signal);
  const request = { method: 'PUT', path: partial, headers, size: upload.size, signal };
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
export function wholeFields(call: WriteCall): Record<string, string> {
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
