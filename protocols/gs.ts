import { TransferError } from '../src/errors.ts';
import { bucketPath, createApi, jsonBody, nameOf, objectPath } from '../src/gcs/api.ts';
import { describeBucket } from '../src/gcs/describe.ts';
import { findLeftovers } from '../src/gcs/leftovers.ts';
import { entries, isThere } from '../src/gcs/listing.ts';
import { putSmall } from '../src/gcs/put-small.ts';
import { readObject } from '../src/gcs/read.ts';
import { refused } from '../src/gcs/refused.ts';
import { removeObject } from '../src/gcs/remove.ts';
import { jsonOf, objectOf, statOf } from '../src/gcs/resource.ts';
import { copyObject, lookUp } from '../src/gcs/rewrite.ts';
import { createWrites } from '../src/gcs/write.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint, Stat } from '../src/protocol.ts';

/**
 * Objects of Google Cloud Storage by its JSON API: `gs://BUCKET/NAME`. Uploads are resumable, their last chunk waits for
 * commit; a directory is a prefix, or an empty object whose name ends in `/`.
 */
export function open(location: Location, context: Context): Endpoint {
  const bucket = location.authority;
  const api = createApi(bucket, context);
  const writes = createWrites(api);

  return {
    // Credentials are chosen by site: those of one site see all buckets alike.
    service: `gs ${location.site}`,
    digestsOnWrite: ['crc32c', 'md5'],
    memory: (size, use) => (use === 'write' ? writes.memory(size) : 0),

    async stat(path, call): Promise<Stat> {
      const name = nameOf(path).replace(/\/$/, '');
      const doing = `stat \`gs://${bucket}/${name}\``;
      const { signal } = call;
      if (name === '') {
        await api.json({ method: 'GET', path: bucketPath(bucket), signal, doing });
        return { type: 'directory' };
      }
      // With a slash at its end it is a directory, whatever file has the name without.
      const response = path.endsWith('/')
        ? undefined
        : await api.send({ method: 'GET', path: objectPath(bucket, name), signal, doing });
      if (response?.status === 200) {
        return statOf(objectOf(await jsonOf(response, doing), doing));
      }
      const error = response
        ? await refused(response, doing)
        : new TransferError('not-found', `${doing}: nothing has such a name`);
      if (error.code === 'not-found' && (await isThere(api, `${name}/`, call))) return { type: 'directory' };
      throw error;
    },

    read: (path, call) => readObject(api, path, call),

    write: writes.write,

    partial: writes.partial,

    async *list(path, call) {
      const name = nameOf(path).replace(/\/$/, '');
      const prefix = name === '' ? '' : `${name}/`;
      let isEmpty = true;
      for await (const entry of entries(api, prefix, call)) {
        isEmpty = false;
        yield entry;
      }
      if (!isEmpty || prefix === '' || (await isThere(api, prefix, call))) return;
      throw new TransferError('not-found', `list \`gs://${bucket}/${name}\`: nothing has such a name`);
    },

    leftovers: (path, call) => findLeftovers(api, nameOf(path), call),

    async mkdir(path, { signal }) {
      const name = nameOf(path).replace(/\/$/, '');
      await makeBucket(signal);
      if (name === '') return;
      const doing = `make directory \`gs://${bucket}/${name}\``;
      const there = await api.send({ method: 'GET', path: objectPath(bucket, name), signal, doing });
      await there.discard();
      if (there.status === 200) throw new TransferError('already-exists', `${doing}: a file has this name`);
      if (await isThere(api, `${name}/`, { signal })) return;
      const metadata = { name: `${name}/`, contentType: 'application/x-directory' };
      await putSmall(
        api,
        { name: `${name}/`, metadata, content: new Uint8Array(0), digests: new Map() },
        signal,
      );
    },

    remove: (path, call) => removeObject(api, path, call),

    async move(from, to, call) {
      const bucketOfSource = call.source?.authority ?? bucket;
      await (await copyObject(api, from, to, call)).commit(call.signal);
      const source = bucketOfSource === bucket ? api : createApi(bucketOfSource, context);
      await removeObject(source, from, { signal: call.signal });
    },

    copy: (from, to, call) => copyObject(api, from, to, call),

    async digest(path, algorithms, call) {
      const { digests } = await lookUp(api, bucket, nameOf(path), call);
      return digests.filter(({ algorithm }) => algorithms.includes(algorithm));
    },

    describe: (_path, call) => describeBucket(api, call),
  };

  async function makeBucket(signal: AbortSignal): Promise<void> {
    const doing = `make bucket \`gs://${bucket}\``;
    const there = await api.send({ method: 'GET', path: bucketPath(bucket), signal, doing });
    if (there.status === 200) return there.discard();
    // Who may write to a bucket need not be allowed to look at it.
    if (there.status === 403) return there.discard();
    if (there.status !== 404) throw await refused(there, doing);
    await there.discard();
    const project = (await context.secrets()).google?.project;
    if (project === undefined) {
      throw new TransferError('invalid-request', `${doing}: expected a project that it shall belong to`, {
        hint: 'name it in GOOGLE_CLOUD_PROJECT',
      });
    }
    const response = await api.send({
      method: 'POST',
      path: '/storage/v1/b',
      query: { project },
      body: jsonBody({ name: bucket }),
      signal,
      doing,
    });
    // Somebody else was quicker.
    if (response.status !== 409 && (response.status < 200 || response.status > 299)) {
      throw await refused(response, doing);
    }
    await response.discard();
  }
}
