import { createHash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import type { S3Access } from '../protocol.ts';
import type { S3Client } from './client.ts';

/** The bucket or the site behind one endpoint. */
export interface S3Place {
  readonly client: S3Client;
  /** The bucket of every path; undefined where it is the first part of the path. */
  readonly bucket: string | undefined;
  /** For messages: the URL without the path. */
  readonly root: string;
}

/** One name of a service, or a whole bucket. */
export interface S3Object {
  readonly bucket: string;
  /** Plain, without a leading slash; empty for the bucket itself. */
  readonly key: string;
  readonly name: string;
}

/** The bucket and key of a path. Rejects with `invalid-request` when it names no bucket. */
export function objectAt(place: S3Place, path: string): S3Object {
  const name = `${place.root}${path}`;
  const rest = path.replace(/^\//, '');
  if (place.bucket !== undefined) return { bucket: place.bucket, key: rest, name };
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  if (bucket === '' || bucket === '.' || bucket === '..') {
    throw new TransferError('invalid-request', `\`${name}\`: expected a bucket behind the site`);
  }
  return { bucket, key: slash < 0 ? '' : rest.slice(slash + 1), name };
}

/** The same, for what only a file can be. */
export function fileAt(place: S3Place, path: string): S3Object {
  const object = objectAt(place, path);
  if (object.key === '')
    throw new TransferError('invalid-request', `\`${object.name}\`: expected a name in the bucket`);
  return object;
}

/** By service and authority: where the paths of each endpoint that was opened begin, for copies between them. */
const places = new Map<string, S3Place>();

export function rememberPlace(service: string, authority: string, place: S3Place): void {
  places.set(`${service} ${authority}`, place);
}

/** The place of an endpoint of the service that was opened for this authority. */
export function placeOf(service: string, authority: string): S3Place | undefined {
  return places.get(`${service} ${authority}`);
}

/** The same for every bucket of one service under one identity; tells nothing of the key. */
export function serviceOf(access: S3Access): string {
  const { accessKeyId = '', secretAccessKey = '', endpoint = 'amazon' } = access;
  const identity = createHash('sha256')
    .update(`${accessKeyId} ${secretAccessKey}`)
    .digest('hex')
    .slice(0, 16);
  return `s3 ${endpoint.toLowerCase().replace(/\/+$/, '')} ${accessKeyId === '' ? 'anonymous' : identity}`;
}
