import { TransferError } from '../src/errors.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';
import { comparesWholes } from '../src/s3/address.ts';
import { createBucket, hasBucket } from '../src/s3/bucket.ts';
import { createS3Client } from '../src/s3/client.ts';
import { copyObject } from '../src/s3/copy.ts';
import { describeBucket } from '../src/s3/describe.ts';
import { findLeftovers } from '../src/s3/leftovers.ts';
import { listObjects } from '../src/s3/list.ts';
import { type Found, findUpload } from '../src/s3/partial.ts';
import { writeMemory } from '../src/s3/parts.ts';
import { readMemory } from '../src/s3/pieces.ts';
import { fileAt, objectAt, placeOf, rememberPlace, type S3Place, serviceOf } from '../src/s3/place.ts';
import { readObject } from '../src/s3/read.ts';
import { removeObject } from '../src/s3/remove.ts';
import { headObject, statObject } from '../src/s3/stat.ts';
import { writeObject } from '../src/s3/write.ts';

/**
 * Objects of an S3 service: `s3://user@site/bucket/key` where a credentials file describes the site, `s3://bucket/key`
 * elsewhere; `s3s` forces TLS. A directory is what keys with a slash make of a name.
 */
export async function open(location: Location, context: Context): Promise<Endpoint> {
  const client = createS3Client(context, location.scheme === 's3s');
  const access = await client.access();
  const place: S3Place = {
    client,
    bucket: access.isSite ? undefined : location.authority,
    root: `${location.scheme}://${location.authority}`,
  };
  const found = new Map<string, Found>();

  const endpoint: Endpoint = {
    service: serviceOf(access),
    ...(comparesWholes(access) ? { digestsOnWrite: ['crc64nvme'] } : {}),
    memory: (size, use) => (use === 'read' ? readMemory(size) : writeMemory(size)),

    stat: async (path, { signal }) => statObject(client, objectAt(place, path), signal),

    read: async (path, call) => readObject(client, fileAt(place, path), call),

    async write(path, bytes, call) {
      const resumed = call.resume && found.get(call.resume.handle);
      if (call.resume) found.delete(call.resume.handle);
      return writeObject(client, fileAt(place, path), { bytes, call, resumed });
    },

    async partial(path, call) {
      if (call.handle === undefined || found.has(call.handle)) return undefined;
      const upload = await findUpload(client, fileAt(place, path), call);
      if (!upload) return undefined;
      const { partial } = upload;
      found.set(partial.handle, upload);
      return {
        ...partial,
        async release(keep) {
          found.delete(partial.handle);
          await partial.release(keep);
        },
      };
    },

    async *list(path, call) {
      yield* listObjects(client, objectAt(place, path), call);
    },

    async *leftovers(path, call) {
      const object = objectAt(place, path);
      const top = place.bucket === undefined ? `/${object.bucket}` : '';
      yield* findLeftovers(client, object, { ...call, pathOf: (key) => `${top}/${key}` });
    },

    async mkdir(path, { signal }) {
      const object = objectAt(place, path);
      if (!(await hasBucket(client, object.bucket, signal)))
        await createBucket(client, object.bucket, signal);
      else if (object.key !== '' && (await headObject(client, object, signal))) {
        throw new TransferError('already-exists', `make the directory \`${object.name}\`: a file is there`);
      }
    },

    remove: async (path, call) => removeObject(client, objectAt(place, path), call),

    async copy(from, to, call) {
      const source = (call.source && placeOf(endpoint.service, call.source.authority)) ?? place;
      return copyObject({ client, from: fileAt(source, from), to: fileAt(place, to), call });
    },

    async digest(path, algorithms, { signal }) {
      const object = fileAt(place, path);
      const stat = await headObject(client, object, signal);
      if (!stat) throw new TransferError('not-found', `ask for the digest of \`${object.name}\`: not found`);
      return (stat.digests ?? []).filter(({ algorithm }) => algorithms.includes(algorithm));
    },

    describe: async (path, { signal }) =>
      describeBucket(client, objectAt(place, path), { signal, isSecure: location.scheme === 's3s' }),
  };
  rememberPlace(endpoint.service, location.authority, place);
  return endpoint;
}
