import { TransferError } from '../errors.ts';
import type { S3Access } from '../protocol.ts';

/** Regions of their own partition have a suffix of their own. */
const CHINA = /^cn-/;

/** What may be a part of a host name under a certificate for `*.s3.REGION.amazonaws.com`: no dots. */
const HOST_LABEL = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/** Where one request goes: everything that its signature covers of the URL. */
export interface Address {
  readonly origin: string;
  /** Value of the Host field. */
  readonly host: string;
  /** Encoded, as sent and signed. */
  readonly path: string;
}

/** True for Amazon's own service, which has every checksum. */
export function isAmazon(access: S3Access): boolean {
  return (
    access.endpoint === undefined ||
    /^[^/]*\/\/[^/]*\.amazonaws\.com(\.cn)?(:\d+)?(\/|$)/.test(access.endpoint)
  );
}

/** True for services that compare the CRC64NVME of a whole upload in parts. */
export function comparesWholes(access: S3Access): boolean {
  return access.wholeChecksum ?? isAmazon(access);
}

/** The URL of a bucket or of a key in it; `isSecure` forces TLS whatever the endpoint says. */
export function addressOf(
  access: S3Access,
  place: {
    readonly region: string;
    readonly bucket: string;
    readonly key?: string | undefined;
    readonly isSecure: boolean;
  },
): Address {
  const { region, bucket } = place;
  const { scheme, hostHeader, base } = baseOf(access, region, place.isSecure);
  const isPath = access.pathStyle ?? (access.endpoint !== undefined || !HOST_LABEL.test(bucket));
  const host = isPath || bucket === '' ? hostHeader : `${bucket}.${hostHeader}`;
  const bucketPath = isPath && bucket !== '' ? `/${encodeKey(bucket)}` : '';
  const keyPath = place.key === undefined ? (bucketPath === '' ? '/' : '') : `/${encodeKey(place.key)}`;
  return { origin: `${scheme}//${host}`, host, path: `${base}${bucketPath}${keyPath}` };
}

/** Of an endpoint: what the URLs of all its buckets begin with. */
interface Base {
  readonly scheme: string;
  readonly hostHeader: string;
  /** Path without a slash at its end. */
  readonly base: string;
}

/** A run speaks to few endpoints, and parsing one costs as much as signing a request. */
const MOST_KNOWN = 64;
const known = new Map<string, Base>();

function baseOf(access: S3Access, region: string, isSecure: boolean): Base {
  const name = `${isSecure} ${access.endpoint ?? `amazon ${region}`}`;
  const found = known.get(name);
  if (found) return found;
  const url = endpointOf(access, region);
  const scheme = isSecure ? 'https:' : url.protocol;
  const made = { scheme, hostHeader: hostOf(url, scheme), base: url.pathname.replace(/\/+$/, '') };
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(name, made);
  return made;
}

function endpointOf(access: S3Access, region: string): URL {
  if (access.endpoint === undefined) {
    return new URL(`https://s3.${region}.amazonaws.com${CHINA.test(region) ? '.cn' : ''}`);
  }
  const text = /^[a-z]+:\/\//i.test(access.endpoint) ? access.endpoint : `https://${access.endpoint}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.username === '') return url;
  throw new TransferError('invalid-request', 'expected an S3 endpoint such as `https://host[:port]`', {
    hint: `correct the endpoint of ${access.source}`,
  });
}

function hostOf(endpoint: URL, scheme: string): string {
  const isDefault = endpoint.port === (scheme === 'https:' ? '443' : '80');
  return endpoint.port === '' || isDefault ? endpoint.hostname : endpoint.host;
}

/** Percent-encoded the one way that signatures know: everything but `A-Za-z0-9-_.~` and `/` (SigV4, UriEncode). */
export function encodeKey(key: string): string {
  return encodeName(key).replaceAll('%2F', '/');
}

/** The same with `/` encoded, for queries. */
export function encodeName(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
