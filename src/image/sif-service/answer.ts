import { TransferError } from '../../errors.ts';
import { statusError } from '../../http/status.ts';
import { contentRange, lengthOf, versionOf } from '../../http/validators.ts';
import type { HttpResponse, ReadCall } from '../../protocol.ts';
import { parseJson } from '../documents.ts';
import { readUpTo } from '../registry/refusal.ts';
import type { OpenedSif } from './found.ts';

/** What a service says of one image: a few KiB, with lists of tags more. */
const MOST_ANSWER = 4 * 1024 * 1024;

/** A page for people stands where a file or what describes it should. */
export function isPage({ headers }: HttpResponse): boolean {
  return /^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(headers['content-type'] ?? '');
}

/** The JSON object of an answer, ended. Rejects with `unexpected` for anything else. */
export async function jsonOf(
  response: HttpResponse,
  doing: string,
): Promise<Readonly<Record<string, unknown>>> {
  return parseJson(await readUpTo(response, MOST_ANSWER, doing), doing);
}

/** What is asked for to read a file from a place on. With a version that only the answer knows, a part of no other one. */
export function rangeFields({ range, version }: ReadCall, known: string | undefined): Record<string, string> {
  const start = range?.start ?? 0;
  if (start === 0) return {};
  const validator = known === undefined ? version?.slice(version.indexOf(' ') + 1) : undefined;
  return {
    range: `bytes=${start}-`,
    ...(validator === undefined ? {} : { 'if-range': validator }),
  };
}

/**
 * The bytes that an answer gives from `start` on. Rejects, and ends it, with `range-ignored` for the whole in the place
 * of a part, `size-mismatch` where it offers another length than `size`, and what else the status says.
 */
export async function opened(
  response: HttpResponse,
  call: ReadCall,
  { doing, size }: { readonly doing: string; readonly size: number | undefined },
): Promise<OpenedSif> {
  const { status, headers, body } = response;
  const start = call.range?.start ?? 0;
  const refuse = async (error: TransferError) => {
    await response.discard();
    return error;
  };
  if (status === 412 || status === 416)
    throw await refuse(new TransferError('changed', `${doing}: it is another file by now`));
  if (status !== 200 && status !== 206) throw await refuse(statusError(response, doing));
  if (isPage(response)) {
    throw await refuse(new TransferError('unexpected', `${doing}: got a page for people, not a file`));
  }
  const range = status === 206 ? contentRange(headers['content-range']) : undefined;
  if (start > 0 && range?.start !== start) {
    throw await refuse(new TransferError('range-ignored', `${doing}: the service gives the whole alone`));
  }
  const length = lengthOf(headers['content-length']);
  const whole = range?.total ?? (length === undefined ? undefined : start + length);
  if (size !== undefined && whole !== undefined && whole !== size) {
    throw await refuse(
      new TransferError('size-mismatch', `${doing}: expected ${size} bytes, the service offers ${whole}`),
    );
  }
  return { bytes: body, size: whole, version: versionOf(headers), discard: () => response.discard() };
}
