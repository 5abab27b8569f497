import { S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import type { StoragePlace } from '../places/place.ts';
import { PLACES as STORAGES } from '../places/places.ts';
import { s3Subject } from '../s3-subject.ts';

/** A `StoragePlace` whose files are small enough to be held whole. */
export interface MatrixPlace {
  url(name: string): string;
  put(name: string, content: Uint8Array): Promise<void>;
  look(name: string): Promise<Uint8Array | undefined>;
  readonly env?: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Every kind of storage by name; S3 below a folder of a bucket. */
export const PLACES: Readonly<Record<string, () => Promise<MatrixPlace>>> = {
  ...Object.fromEntries(Object.entries(STORAGES).map(([name, start]) => [name, () => start().then(held)])),
  s3: s3Place,
};

async function s3Place(): Promise<MatrixPlace> {
  const { http, stop } = await startServer('ceph-rgw');
  const { look, put, path, close } = await s3Subject({
    access: { ...S3_USER, endpoint: http },
    bucket: 'matrix',
    stop,
  });
  return {
    url: (name) => `s3:/${path(name)}`,
    put,
    look,
    env: {
      AWS_ACCESS_KEY_ID: S3_USER.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_USER.secretAccessKey,
      AWS_ENDPOINT_URL_S3: http,
      AWS_REGION: 'default',
    },
    stop: close,
  };
}

function held(place: StoragePlace): MatrixPlace {
  return {
    url: place.url,
    env: place.env,
    stop: place.stop,
    put: (name, content) => place.put(name, [content]),
    async look(name) {
      const bytes = await place.look(name);
      if (!bytes) return undefined;
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
  };
}
