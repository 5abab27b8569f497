import { TransferError } from '../errors.ts';
import type { RetryUnit } from '../protocol.ts';
import { type Api, jsonBody, objectPath } from './api.ts';
import type { Components } from './components.ts';
import { hexOf } from './crc32c.ts';
import { refused } from './refused.ts';
import { jsonOf, type ObjectResource, objectOf } from './resource.ts';
import { lookUp } from './rewrite.ts';

/** Objects that one call puts together (JSON API, Objects: compose). */
const AT_ONCE = 32;
/** Times that somebody else may store under the name while we are about to. */
const RIVALS = 3;

export interface Composing {
  readonly api: Api;
  readonly components: Components;
  readonly parts: readonly ObjectResource[];
  readonly name: string;
  readonly metadata: object;
  readonly size: number;
  readonly crc32c: number;
  readonly doing: string;
  readonly retry: RetryUnit;
  readonly signal: AbortSignal;
}

/** Makes the object of its components, in as many calls as that takes; the last one shows it. Rejects with `digest-mismatch`. */
export async function composeObject(composing: Composing): Promise<ObjectResource> {
  const { api, components, retry, name } = composing;
  let level = composing.parts;
  for (let made = 0; level.length > AT_ONCE; ) {
    const next: ObjectResource[] = [];
    for (let at = 0; at < level.length; at += AT_ONCE) {
      const target = components.composedName(made);
      made += 1;
      const sources = level.slice(at, at + AT_ONCE);
      const about = { sources, target, metadata: {} };
      // Nobody else writes to this name: the same call again makes the same object again.
      next.push(await retry(async (signal) => objectIn(await compose(composing, about, signal), composing)));
    }
    level = next;
  }
  const made = await show(composing, level);
  if (isWhole(made, composing)) return made;
  // The service put together something else than it had been given.
  await api
    .send({
      method: 'DELETE',
      path: objectPath(api.bucket, name),
      query: { ifGenerationMatch: made.generation },
      signal: composing.signal,
      doing: composing.doing,
    })
    .then((response) => response.discard());
  throw new TransferError(
    'digest-mismatch',
    `${composing.doing}: what the service composed is not what it got`,
  );
}

/** The last call, bound to what is under the name: a lost answer is recognised by what is there then. */
async function show(composing: Composing, sources: readonly ObjectResource[]): Promise<ObjectResource> {
  const { api, name, doing, retry } = composing;
  for (let rivals = 0; rivals < RIVALS; rivals += 1) {
    const before = await retry((signal) => generationOf(api, name, signal));
    const about = { sources, target: name, metadata: composing.metadata, before };
    const made = await retry(async (signal) => {
      const response = await compose(composing, about, signal);
      if (response.status !== 412) return objectIn(response, composing);
      await response.discard();
      const now = await lookUp(api, api.bucket, name, { signal }).catch(unlessAbsent);
      return now && now.generation !== before && isWhole(now, composing) ? now : undefined;
    });
    if (made) return made;
  }
  throw new TransferError('unavailable', `${doing}: others keep storing under this name`);
}

/** `0` for nothing, as the service has it. */
async function generationOf(api: Api, name: string, signal: AbortSignal): Promise<string> {
  return (await lookUp(api, api.bucket, name, { signal }).catch(unlessAbsent))?.generation ?? '0';
}

function unlessAbsent(error: unknown): undefined {
  if (error instanceof TransferError && error.code === 'not-found') return undefined;
  throw error;
}

interface Call {
  readonly sources: readonly ObjectResource[];
  readonly target: string;
  readonly metadata: object;
  readonly before?: string;
}

function compose({ api, doing }: Composing, call: Call, signal: AbortSignal) {
  const { sources, target, metadata, before } = call;
  return api.send({
    method: 'POST',
    path: `${objectPath(api.bucket, target)}/compose`,
    query: { ifGenerationMatch: before },
    body: jsonBody({
      sourceObjects: sources.map(({ name, generation }) => ({
        name,
        generation,
        objectPreconditions: { ifGenerationMatch: generation },
      })),
      destination: { contentType: 'application/octet-stream', ...metadata },
    }),
    signal,
    doing,
  });
}

async function objectIn(response: Awaited<ReturnType<typeof compose>>, { doing }: Composing) {
  if (response.status < 200 || response.status > 299) throw await refused(response, doing);
  return objectOf(await jsonOf(response, doing), doing);
}

function isWhole(object: ObjectResource, { size, crc32c }: Composing): boolean {
  const own = object.digests.find(({ algorithm }) => algorithm === 'crc32c')?.value;
  return object.size === size && own === hexOf(crc32c);
}
