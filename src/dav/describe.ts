import { TransferError } from '../errors.ts';
import { lengthOf } from '../http/validators.ts';
import type { ServiceFact } from '../protocol.ts';
import { readMultistatus } from './multistatus.ts';
import { collectionPath, parentPath } from './paths.ts';
import { ask, askBriefly, type DavService, refusal } from './service.ts';

/** Room of a collection (RFC 4331 §3, §4). */
const QUOTA = Buffer.from(
  '<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:"><d:prop><d:quota-available-bytes/><d:quota-used-bytes/></d:prop></d:propfind>',
);

/** By the `Server` field, as tested with Apache 2.4 and nginx 1.22. */
const STORES_RANGES: readonly (readonly [RegExp, boolean])[] = [
  [/^Apache\b/, true],
  [/^nginx\b/, false],
];

/** What the server says of itself: software, DAV classes (RFC 4918 §18), methods, and the room of the directory where it has a quota. */
export async function describeServer(
  service: DavService,
  path: string,
  signal: AbortSignal,
): Promise<readonly ServiceFact[]> {
  const { status, headers } = await askBriefly(service, { method: 'OPTIONS', path, signal });
  const { server, dav, allow } = headers;
  // The words are the server's own; what is no plain text is none of an answer to us.
  const words = (text: string | undefined) => text?.replace(/[^\x20-\x7e]/g, '?').slice(0, 500);
  return [
    { label: 'server', text: words(server) },
    { label: 'dav', text: dav === undefined ? `classes not told (${status})` : `classes ${words(dav)}` },
    {
      label: 'methods',
      text: words(allow)
        ?.split(/\s*,\s*/)
        .join(' '),
    },
    // Those of dav-ext do; another server may stand behind the name.
    ...(/^nginx\b/.test(server ?? '')
      ? [{ label: 'lists', text: 'perhaps no names that begin with a dot' }]
      : []),
    { label: 'broken uploads', text: brokenUploads(service, server) },
    ...(await roomOf(service, path, signal)),
  ];
}

/** Only a write shows it for sure, and nothing is to be changed here. */
function brokenUploads({ uploads }: DavService, server: string | undefined): string {
  const takesRanges = uploads.takesRanges ?? STORES_RANGES.find(([name]) => name.test(server ?? ''))?.[1];
  if (takesRanges === undefined) return 'go on if the server stores ranges, which each run tries';
  return takesRanges ? 'go on: the server stores ranges' : 'start over: the server refuses ranges';
}

async function roomOf(
  service: DavService,
  path: string,
  signal: AbortSignal,
): Promise<readonly ServiceFact[]> {
  const directory = path.endsWith('/') ? collectionPath(path) : parentPath(path);
  const doing = `ask for the room of \`${service.origin}${directory}\``;
  const response = await ask(service, {
    method: 'PROPFIND',
    path: directory,
    headers: { depth: '0', 'content-type': 'application/xml; charset=utf-8' },
    body: (async function* () {
      yield QUOTA;
    })(),
    size: QUOTA.length,
    signal,
  });
  if (response.status !== 207) {
    const refused = await refusal(response, doing);
    if (refused.transient) throw refused;
    return [];
  }
  try {
    for await (const { properties } of readMultistatus(response.body, doing)) {
      const bytes = (name: string) => lengthOf(properties.get(`DAV: ${name}`)?.text.trim());
      return [
        { label: 'free', bytes: bytes('quota-available-bytes') },
        { label: 'used', bytes: bytes('quota-used-bytes') },
      ];
    }
  } catch (error) {
    if (!(error instanceof TransferError) || error.transient) throw error;
  }
  return [];
}
