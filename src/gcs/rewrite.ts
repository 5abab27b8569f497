import { TransferError } from '../errors.ts';
import type { CopyCall, Staged } from '../protocol.ts';
import { type Api, jsonBody, nameOf, objectPath } from './api.ts';
import { type ObjectResource, objectOf, storedOf } from './resource.ts';

/** Calls of one copy: the service promises progress in each, and takes about 1 GiB in 30 s where it has to move bytes. */
const MOST_CALLS = 100_000;

/** Copies inside the service, when committed: the object appears with its last byte. */
export async function copyObject(api: Api, from: string, to: string, call: CopyCall): Promise<Staged> {
  const bucket = call.source?.authority ?? api.bucket;
  const source = await lookUp(api, bucket, nameOf(from), call);
  return {
    commit: async (signal) =>
      storedOf(await rewrite(api, { bucket, source, to: nameOf(to) }, { ...call, signal })),
    abort: async () => undefined,
  };
}

/** The object's resource. Rejects with `not-found`. */
export async function lookUp(
  api: Api,
  bucket: string,
  name: string,
  call: { readonly signal: AbortSignal },
): Promise<ObjectResource> {
  const doing = `look at \`gs://${bucket}/${name}\``;
  const path = objectPath(bucket, name);
  return objectOf(await api.json({ method: 'GET', path, signal: call.signal, doing }), doing);
}

/** Repeats the call with the token that the last one gave until the whole is copied (JSON API, Objects: rewrite). */
async function rewrite(
  api: Api,
  what: { readonly bucket: string; readonly source: ObjectResource; readonly to: string },
  call: CopyCall,
): Promise<ObjectResource> {
  const { bucket, source, to } = what;
  const doing = `copy \`gs://${bucket}/${source.name}\` to \`gs://${api.bucket}/${to}\``;
  let rewriteToken: string | undefined;
  for (let calls = 0; calls < MOST_CALLS; calls += 1) {
    const answer = await api.json({
      method: 'POST',
      path: `${objectPath(bucket, source.name)}/rewriteTo${objectPath(api.bucket, to).slice('/storage/v1'.length)}`,
      query: { ifSourceGenerationMatch: source.generation, rewriteToken },
      body: jsonBody({}),
      signal: call.signal,
      doing,
    });
    call.progress?.(Number(answer.totalBytesRewritten) || 0);
    if (answer.done === true) return compared(resourceIn(answer, doing), source, doing);
    if (typeof answer.rewriteToken !== 'string') break;
    rewriteToken = answer.rewriteToken;
  }
  throw new TransferError('unexpected', `${doing}: the service neither finishes nor goes on`);
}

function resourceIn(answer: Record<string, unknown>, doing: string): ObjectResource {
  const { resource } = answer;
  return objectOf(
    typeof resource === 'object' && resource ? (resource as Record<string, unknown>) : {},
    doing,
  );
}

/** A copy has the digests of what it is a copy of. */
function compared(copy: ObjectResource, source: ObjectResource, doing: string): ObjectResource {
  const differs = copy.digests.find(({ algorithm, value }) =>
    source.digests.some((other) => other.algorithm === algorithm && other.value !== value),
  );
  if (!differs && copy.size === source.size) return copy;
  throw new TransferError('digest-mismatch', `${doing}: the copy is not what was copied`);
}
