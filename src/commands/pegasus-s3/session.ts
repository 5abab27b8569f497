import type { Endpoints } from '../../endpoints.ts';
import { run } from '../../engine.ts';
import { TransferError } from '../../errors.ts';
import { formatLocation, parseUrl } from '../../location.ts';
import type { Emit, Failure } from '../../outcome.ts';
import type { Place, Request } from '../../request.ts';
import { objectAt, placeOf, type S3Object, type S3Place } from '../../s3/place.ts';
import { copyRequest } from '../cp-tree.ts';
import type { Io } from '../io.ts';
import { CP_OPTIONS } from '../options.ts';
import { parseOptions } from '../parse-options.ts';
import { openSession } from '../session.ts';
import { randomFrom, runOptions } from '../settings.ts';
import type { S3Invocation } from './arguments.ts';

/** An S3 URL and the service behind it. */
export interface S3Target {
  readonly place: Place;
  readonly service: S3Place;
  /** `user@site`. */
  readonly identity: string;
  /** Empty where the URL ends before it. */
  readonly bucket: string;
  readonly key: string;
  readonly object: S3Object;
}

export interface S3Pair {
  readonly source: Place;
  readonly destination: Place;
}

/** What the commands of one call share. */
export interface S3Session {
  /** Rejects with `invalid-request` for a URL that names no user and site. */
  target(url: string): Promise<S3Target>;
  /** Moves the files by the engine; rejects with what the first failed of. */
  transfer(
    pairs: readonly S3Pair[],
    call: { readonly onlyNew: boolean; readonly signal: AbortSignal },
  ): Promise<void>;
  close(): Promise<void>;
}

export function openS3Session(invocation: S3Invocation, io: Io): S3Session {
  // The original never asked a proxy about S3.
  const { http_proxy: _, HTTP_PROXY: __, ...rest } = io.env;
  const env = invocation.conf === undefined ? rest : { ...rest, PEGASUS_CREDENTIALS: invocation.conf };
  const values = parseOptions([], CP_OPTIONS, { env }).values;
  const endpoints: Endpoints = openSession(values, {
    env,
    connections: values.perHost ?? values.threads,
    warn: (_key, message) => io.err(`warning: ${message}\n`),
  });

  async function target(url: string): Promise<S3Target> {
    const place = parseUrl(url);
    const { location, secret } = place;
    if (!/^s3s?$/.test(location.scheme) || !secret?.username) {
      throw new TransferError(
        'invalid-request',
        `expected a URL such as \`s3://user@site/bucket/key\`, got \`${formatLocation(location)}\``,
      );
    }
    const endpoint = await endpoints.open(place);
    const service = placeOf(endpoint.service, location.authority);
    if (!service) throw new TransferError('unexpected', `\`${formatLocation(location)}\`: no such place`);
    const isService = /^\/*$/.test(location.path);
    const object = isService ? { bucket: '', key: '', name: url } : objectAt(service, location.path);
    const { bucket, key } = object;
    return { place, service, identity: `${secret.username}@${location.authority}`, bucket, key, object };
  }

  return {
    target,
    async transfer(pairs, { onlyNew, signal }) {
      let failed: Failure | undefined;
      const emit: Emit = (event) => {
        if (event.type === 'item-ended') failed ??= event.outcome.failure;
      };
      async function* requests(kind: Request['kind']): AsyncGenerator<Request> {
        if (kind !== 'transfer') return;
        for (const [index, { source, destination }] of pairs.entries())
          yield copyRequest(index, source, destination);
      }
      const options = { ...runOptions(values, env), onlyNew };
      await run(
        { total: pairs.length, requests },
        options,
        { open: endpoints.open, emit, random: randomFrom(env) },
        signal,
      );
      if (failed) {
        const { code, message, hint } = failed;
        throw new TransferError(code, message, hint === undefined ? {} : { hint });
      }
    },
    close: () => endpoints.close(),
  };
}

/** The bucket of a URL that has to name one. */
export function requireBucket({ bucket, object }: S3Target): string {
  if (bucket !== '') return bucket;
  throw new TransferError('invalid-request', `\`${object.name}\`: expected a bucket in the URL`);
}

/** The last name of a key or a path. */
export function lastPart(path: string): string {
  return /([^/]*)\/*$/.exec(path)?.[1] ?? '';
}
