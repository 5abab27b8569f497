import { makeCollection, removeResource } from '../src/dav/collections.ts';
import { copyFile, moveFile } from '../src/dav/copy.ts';
import { describeServer } from '../src/dav/describe.ts';
import { findLeftovers } from '../src/dav/leftovers.ts';
import { listCollection } from '../src/dav/list.ts';
import { headStat, statResource } from '../src/dav/propfind.ts';
import { readFile } from '../src/dav/read.ts';
import type { DavService } from '../src/dav/service.ts';
import { claimPartial, createUploads } from '../src/dav/uploads.ts';
import { writeFile } from '../src/dav/write.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/**
 * Files and collections of a WebDAV server (RFC 4918): uploads go to a name of ours beside the destination and are moved
 * when they are whole. `dav` and `webdav` are http, `davs` and `webdavs` https.
 */
export function open(location: Location, context: Context): Endpoint {
  const isEncrypted = location.scheme.endsWith('s');
  const service: DavService = {
    origin: `${isEncrypted ? 'https' : 'http'}://${location.authority}`,
    http: context.http,
    secrets: (again) => context.secrets(again),
    isEncrypted,
    known: new Set(),
    uploads: createUploads(),
  };
  return {
    // Two identities at one server may not do with each other's files what each may with its own.
    service: `dav ${service.origin} ${context.identity ?? ''}`,
    account: `dav ${service.origin} ${location.site} ${context.username ?? ''}`,
    partialDepends: true,
    stat: (path, { signal }) => statResource(service, path, signal),
    read: (path, call) => readFile(service, path, call),
    write: (path, bytes, call) => writeFile(service, path, bytes, call),
    partial: (path, call) => claimPartial(service, path, call),
    list: (path, call) => listCollection(service, path, call),
    leftovers: (path, call) => findLeftovers(service, path, call),
    mkdir: (path, { signal }) => makeCollection(service, path, signal),
    remove: (path, call) => removeResource(service, path, call),
    move: (from, to, call) => moveFile(service, from, to, call),
    copy: (from, to, call) => copyFile(service, from, to, call),

    async digest(path, algorithms, { signal }) {
      const head = await headStat(service, path, signal);
      const known = head.digests ?? (await statResource(service, path, signal)).digests ?? [];
      return known.filter(({ algorithm }) => algorithms.includes(algorithm));
    },

    describe: (path, { signal }) => describeServer(service, path, signal),
  };
}
