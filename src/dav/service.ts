import { TransferError } from '../errors.ts';
import { statusError } from '../http/status.ts';
import type { Bytes, HttpClient, HttpResponse, Secrets } from '../protocol.ts';
import type { Uploads } from './uploads.ts';

/** One WebDAV server, and who speaks with it. */
export interface DavService {
  /** `https://host[:port]`, without a slash at its end. */
  readonly origin: string;
  readonly http: HttpClient;
  readonly secrets: (again?: boolean) => Promise<Secrets>;
  /** TLS. Without it a password goes only to a server that asks for one, and no request through a proxy, which may keep what we are about to change. */
  readonly isEncrypted: boolean;
  /** Collections that were seen to exist, decoded, without a slash at their end. */
  readonly known: Set<string>;
  readonly uploads: Uploads;
}

export interface DavRequest {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Bytes;
  readonly size?: number | undefined;
  readonly fresh?: boolean | undefined;
  readonly signal: AbortSignal;
}

/** The server's answer, whatever its status. */
export function ask(service: DavService, { path, ...request }: DavRequest): Promise<HttpResponse> {
  const { origin, http, secrets, isEncrypted } = service;
  return http.send({
    ...request,
    url: origin + path,
    secrets,
    asksFirst: !isEncrypted,
    fresh: request.fresh || !isEncrypted,
  });
}

/** The answer with its body read past. */
export async function askBriefly(service: DavService, request: DavRequest): Promise<HttpResponse> {
  const response = await ask(service, request);
  await response.discard();
  return response;
}

/** True for 2xx but 207, which tells of failures in its body (RFC 4918 §11.1). */
export function isDone(response: HttpResponse): boolean {
  return response.status >= 200 && response.status < 300 && response.status !== 207;
}

/** Bytes of an error's explanation that are looked at. */
const MAX_EXPLANATION = 64 * 1024;

/** ownCloud says so when the body is not what `OC-Checksum` promised; the status alone would be a malformed request. */
const WRONG_CHECKSUM = /checksum[^<]{0,200}(?:not match|mismatch)/i;

/** The error that a refusal stands for, with the reason that servers of the SabreDAV family give in its body. */
export async function refusal(response: HttpResponse, doing: string): Promise<TransferError> {
  const text = await explanation(response);
  const shown = /<(?:\w+:)?message[^>]*>([^<]{1,300})</.exec(text)?.[1]?.replace(/[^\x20-\x7e]/g, '?');
  const where = shown === undefined ? doing : `${doing}: \`${shown}\``;
  if (response.status === 400 && WRONG_CHECKSUM.test(text)) {
    return new TransferError('digest-mismatch', `${where}: the server counts another checksum`);
  }
  if (response.status === 424) {
    return new TransferError('unavailable', `${where}: something below it is locked (HTTP 424)`);
  }
  return statusError(response, where);
}

async function explanation(response: HttpResponse): Promise<string> {
  if (!/xml/i.test(response.headers['content-type'] ?? '')) {
    await response.discard();
    return '';
  }
  let text = '';
  try {
    for await (const chunk of response.body) {
      text += Buffer.from(chunk).toString('latin1');
      if (text.length > MAX_EXPLANATION) break;
    }
  } catch {
    // The status is what counts; the rest was a courtesy.
  }
  return text;
}
