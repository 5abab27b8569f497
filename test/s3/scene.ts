import { afterEach, beforeEach } from 'vitest';
import { type ScriptedS3, startScriptedS3 } from '../../fixtures/misbehaving/s3-server.ts';
import { TransferError } from '../../src/errors.ts';
import type { HttpClientOptions } from '../../src/http/client.ts';
import type {
  Bytes,
  Context,
  HttpClient,
  RetryUnit,
  S3Access,
  Secrets,
  Source,
  WriteCall,
} from '../../src/protocol.ts';
import { createS3Client, type S3Client } from '../../src/s3/client.ts';
import type { PartLimits } from '../../src/s3/parts.ts';
import type { S3Object } from '../../src/s3/place.ts';
import { testHttp } from '../s3-subject.ts';

export const never = new AbortController().signal;

/** What no error and no message may show. */
export const SECRET = 'secret-of-the-tests';

/** Parts of a few bytes, so that an upload of many costs nothing. */
export const SMALL: PartLimits = { part: 1000, window: 3000, held: 10_000 };

export interface Scene {
  readonly server: ScriptedS3;
  readonly client: S3Client;
  readonly object: S3Object;
  /** The secrets that are asked for; `again` is what is answered after a refusal. */
  access: Partial<S3Access>;
  again: Partial<S3Access> | undefined;
  http(options: Partial<HttpClientOptions>): S3Client;
}

/** A scripted service and a client of it for each test of the file. */
export function useScene(): Scene {
  let server: ScriptedS3;
  let clients: HttpClient[] = [];
  const scene = {
    access: {} as Partial<S3Access>,
    again: undefined as Partial<S3Access> | undefined,
    client: undefined as unknown as S3Client,
    object: { bucket: 'bucket', key: 'dir/key', name: 's3://bucket/dir/key' },
    get server() {
      return server;
    },
    http(options: Partial<HttpClientOptions>) {
      const http = testHttp(options);
      clients.push(http);
      const context: Context = {
        http,
        secrets: async (again): Promise<Secrets> => ({
          s3: {
            isSite: true,
            endpoint: server.url,
            accessKeyId: 'key',
            secretAccessKey: SECRET,
            source: 'the test',
            ...scene.access,
            ...(again ? scene.again : {}),
          },
        }),
      };
      return createS3Client(context, false);
    },
  };
  beforeEach(async () => {
    server = await startScriptedS3();
    scene.access = {};
    scene.again = undefined;
    scene.client = scene.http({});
  });
  afterEach(async () => {
    await Promise.all(clients.map((http) => http.close()));
    clients = [];
    await server.close();
  });
  return scene;
}

/** The engine's policy without its waits. */
export const retry: RetryUnit = async (unit) => {
  for (let tries = 1; ; tries += 1) {
    try {
      return await unit(never);
    } catch (error) {
      if (!(error instanceof TransferError) || !error.transient || tries === 4) throw error;
    }
  }
};

export const whole: WriteCall = { signal: never, key: 'c0ffee00c0ffee00c0ffee00c0ffee00', retry };

export async function* chunksOf(content: Uint8Array, size = 700): Bytes {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

export async function collect(source: Source): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.bytes) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** The error that `work` ends in, which holds no secret. */
export async function failureOf(work: Promise<unknown>): Promise<TransferError> {
  const error = await work.then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TransferError)) throw error;
  const shown = `${error.message} ${error.hint} ${error.stack}`;
  if (shown.includes(SECRET)) throw new Error(`a secret in \`${shown}\``);
  return error;
}
