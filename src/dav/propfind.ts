import { TransferError } from '../errors.ts';
import { declaredDigests, WANT_DIGEST } from '../http/digest-fields.ts';
import { statusError } from '../http/status.ts';
import { dateOf, lengthOf, versionOf } from '../http/validators.ts';
import type { HttpResponse, Stat } from '../protocol.ts';
import { type DavResponse, readMultistatus } from './multistatus.ts';
import { collectionPath } from './paths.ts';
import { ask, askBriefly, type DavService, refusal } from './service.ts';

/** Properties of the standard (RFC 4918 §15); those of ownCloud and dCache only about single files, where they cost little. */
const BASIC = '<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/>';
const CHECKSUMS = '<o:checksums/><c:Checksums/>';
const OWNCLOUD = 'http://owncloud.org/ns';
const DCACHE = 'http://www.dcache.org/2013/webdav';

function propfind(properties: string): Uint8Array {
  return Buffer.from(
    '<?xml version="1.0" encoding="utf-8"?>' +
      `<d:propfind xmlns:d="DAV:" xmlns:o="${OWNCLOUD}" xmlns:c="${DCACHE}"><d:prop>${properties}</d:prop></d:propfind>`,
  );
}

const ABOUT_ONE = propfind(BASIC + CHECKSUMS);
const ABOUT_MANY = propfind(BASIC);

/** Asks for properties of the resource (`0`) or also of its members (`1`). The caller reads the body to its end, or discards it. */
export function askProperties(
  service: DavService,
  path: string,
  how: { readonly depth: '0' | '1'; readonly signal: AbortSignal },
): Promise<HttpResponse> {
  const body = how.depth === '0' ? ABOUT_ONE : ABOUT_MANY;
  return ask(service, {
    method: 'PROPFIND',
    path,
    headers: { depth: how.depth, 'content-type': 'application/xml; charset=utf-8' },
    body: only(body),
    size: body.length,
    signal: how.signal,
  });
}

async function* only(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  yield chunk;
}

/**
 * What the server says of one resource. A server that answers PROPFIND not at all, or without an entity tag, is asked
 * by HEAD as well: the tag is what a later read is compared with.
 */
export async function statResource(service: DavService, path: string, signal: AbortSignal): Promise<Stat> {
  const doing = `stat \`${service.origin}${path}\``;
  const response = await askProperties(service, path, { depth: '0', signal });
  if (response.status === 405 || response.status === 501) {
    await response.discard();
    return headStat(service, path, signal);
  }
  if (response.status !== 207) throw await refusal(response, doing);
  const [own] = await allOf(response, doing);
  if (!own) throw new TransferError('unexpected', `${doing}: the server says nothing of it`);
  if (own.status !== undefined && own.status >= 400) {
    throw statusError({ status: own.status, headers: {} }, doing);
  }
  const stat = statOf(own);
  if (stat.type !== 'file' || own.properties.has('DAV: getetag')) return stat;
  const head = await headStat(service, path, signal);
  return { ...stat, version: head.version, digests: stat.digests ?? head.digests };
}

/** What HEAD tells of a file: size, version and the digests that servers give when asked. */
export async function headStat(service: DavService, path: string, signal: AbortSignal): Promise<Stat> {
  const response = await askBriefly(service, { method: 'HEAD', path, headers: WANT_DIGEST, signal });
  if (response.status !== 200 && response.status !== 204) {
    throw statusError(response, `stat \`${service.origin}${path}\``);
  }
  const { headers } = response;
  const digests = declaredDigests(headers).whole;
  return {
    type: 'file',
    size: lengthOf(headers['content-length']),
    modified: dateOf(headers['last-modified']),
    version: versionOf(headers),
    ...(digests.length > 0 ? { digests } : {}),
  };
}

/** `undefined` when there is nothing. */
export async function typeOf(
  service: DavService,
  path: string,
  signal: AbortSignal,
): Promise<Stat['type'] | undefined> {
  try {
    return (await statResource(service, path, signal)).type;
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return undefined;
    throw error;
  }
}

/** What HEAD tells, or PROPFIND where that leaves the size out. */
export async function askSize(service: DavService, path: string, signal: AbortSignal): Promise<Stat> {
  const stat = await headStat(service, path, signal);
  return stat.size === undefined ? statResource(service, path, signal) : stat;
}

/** The collection and its members, each as it comes. Rejects with `not-found`, and `invalid-request` for a file. */
export async function* membersOf(
  service: DavService,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<{ readonly href: string; readonly stat: Stat }> {
  const doing = `list \`${service.origin}${path}\``;
  const response = await askProperties(service, collectionPath(path), { depth: '1', signal });
  if (response.status !== 207) throw await refusal(response, doing);
  for await (const each of readMultistatus(response.body, doing)) {
    yield { href: each.href, stat: statOf(each) };
  }
}

async function allOf(response: HttpResponse, doing: string): Promise<DavResponse[]> {
  const all: DavResponse[] = [];
  for await (const each of readMultistatus(response.body, doing)) all.push(each);
  return all;
}

/** The properties as facts about a file or directory. */
export function statOf({ properties }: DavResponse): Stat {
  const text = (name: string) => properties.get(name)?.text.trim();
  const types = properties.get('DAV: resourcetype')?.children ?? [];
  const isCollection =
    types.some(({ name }) => name === 'DAV: collection') ||
    /^(1|true)$/.test(text('DAV: iscollection') ?? '');
  const modified = dateOf(text('DAV: getlastmodified'));
  if (isCollection) return { type: 'directory', modified };
  const tag = text('DAV: getetag');
  const digests = checksumsOf(properties);
  return {
    type: 'file',
    size: lengthOf(text('DAV: getcontentlength')),
    modified,
    version: tag === undefined ? undefined : versionOf({ etag: tag }),
    ...(digests.length > 0 ? { digests } : {}),
  };
}

function checksumsOf(properties: DavResponse['properties']) {
  const owncloud = properties.get(`${OWNCLOUD} checksums`)?.children.map((each) => each.text) ?? [];
  const dcache = properties.get(`${DCACHE} Checksums`)?.text.trim();
  return declaredDigests({
    ...(owncloud.length > 0 ? { 'oc-checksum': owncloud.join(' ') } : {}),
    ...(dcache ? { digest: dcache } : {}),
  }).whole;
}
