import { TransferError } from '../errors.ts';
import { sourceFrom } from '../http/source.ts';
import { rangeHeaders } from '../http/validators.ts';
import type { ReadCall, Source } from '../protocol.ts';
import { collectionPath, withoutQuery } from './paths.ts';
import { ask, type DavService } from './service.ts';

/** The file's bytes, from the version asked for or not at all: `If-Match` has another one refused before any byte (RFC 9110 §13.1.1). */
export async function readFile(service: DavService, path: string, call: ReadCall): Promise<Source> {
  const url = service.origin + path;
  const doing = `read \`${url}\``;
  if (withoutQuery(path).endsWith('/')) throw isDirectory(doing);
  const response = await ask(service, {
    method: 'GET',
    path,
    headers: { ...range(call), ...precondition(call.version) },
    fresh: call.fresh,
    signal: call.signal,
  });
  // Many servers show a directory as a page, which must not pass for a file; they redirect to its own URL first.
  if (withoutQuery(response.url).endsWith(collectionPath(path))) {
    await response.discard();
    throw isDirectory(doing);
  }
  return sourceFrom(url, response, call);
}

function range(call: ReadCall): Record<string, string> {
  return rangeHeaders({ signal: call.signal, range: call.range });
}

/** Versions are `etag "…"` or `modified <date>`. */
function precondition(version: string | undefined): Record<string, string> {
  if (version === undefined) return {};
  const validator = version.slice(version.indexOf(' ') + 1);
  return version.startsWith('etag ') ? { 'if-match': validator } : { 'if-unmodified-since': validator };
}

function isDirectory(doing: string): TransferError {
  return new TransferError('invalid-request', `${doing}: is a directory`);
}
