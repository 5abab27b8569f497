import { TransferError } from '../errors.ts';
import type { Bytes, PartialCall, PartialWrite, Staged, WriteCall } from '../protocol.ts';
import { type Api, nameOf } from './api.ts';
import { LEAST_COMPOSED, whyNotCompose } from './choice.ts';
import {
  componentBytes,
  componentsOf,
  findComponents,
  type Handle,
  parseHandle,
  removeComponents,
} from './components.ts';
import { writeComponents } from './parallel-upload.ts';
import type { ObjectResource } from './resource.ts';
import { openSession } from './session.ts';
import { CHUNK_BYTES, writeObject } from './upload.ts';

/** Milliseconds that taking back an upload may take. */
const TIDY_MS = 10_000;

/** Uploads to one bucket, in one stream or by components. */
export interface Writes {
  memory(size: number | undefined): number;
  write(path: string, bytes: Bytes, call: WriteCall): Promise<Staged>;
  partial(path: string, call: PartialCall): Promise<PartialWrite | undefined>;
}

/** From which size on components are made, and of how many bytes. */
export interface ComposeLimits {
  readonly least: number;
  bytes(size: number): number;
}

const LIMITS: ComposeLimits = { least: LEAST_COMPOSED, bytes: componentBytes };

export function createWrites(api: Api, limits: ComposeLimits = LIMITS): Writes {
  const { settings, http } = api.context;
  const parallel = settings?.gs?.parallel;
  /** Handles of uploads that somebody was told of and has not let go. */
  const claimed = new Set<string>();
  /** Components that were found, by the handle that led to them. */
  const found = new Map<string, readonly ObjectResource[]>();
  let obstacle: Promise<string | undefined> | undefined;

  async function mayCompose(call: WriteCall): Promise<boolean> {
    if (parallel === undefined || call.size === undefined || call.size < limits.least) return false;
    obstacle ??= call.retry((signal) => whyNotCompose(api, { signal }));
    const why = await obstacle.catch((error: unknown) => {
      obstacle = undefined;
      throw error;
    });
    if (why === undefined) return true;
    settings?.net?.warn(
      `gs parallel ${api.bucket}`,
      `\`gs://${api.bucket}\`: uploads in one stream, since ${why}`,
    );
    return false;
  }

  async function writeNew(path: string, bytes: Bytes, call: WriteCall): Promise<Staged> {
    if (!(await mayCompose(call))) return writeObject(api, path, bytes, call);
    const resume = { bytes: limits.bytes(call.size ?? 0) };
    return compose(path, bytes, { call, resume, had: [] });
  }

  function compose(
    path: string,
    bytes: Bytes,
    how: {
      readonly call: WriteCall;
      readonly resume: Pick<Handle, 'bytes'> & { readonly id?: string };
      readonly had: readonly ObjectResource[];
    },
  ): Promise<Staged> {
    const { call, had } = how;
    const name = nameOf(path);
    const components = componentsOf(name, call.key, how.resume);
    const { size } = call;
    if (!components || size === undefined) return writeObject(api, path, bytes, call);
    const doing = `write \`gs://${api.bucket}/${name}\``;
    return writeComponents({ api, name, doing, size, call, components, had, parallel: parallel ?? 1 }, bytes);
  }

  async function sessionPartial(path: string, handle: string, signal: AbortSignal) {
    const doing = `resume \`gs://${api.bucket}/${nameOf(path)}\``;
    const session = openSession(http, handle, await api.origin(), doing);
    const progress = await session?.ask(signal);
    if (!session || progress?.kind !== 'more') return undefined;
    return {
      end: progress.committed,
      drop: () => session.cancel(AbortSignal.timeout(TIDY_MS)),
    };
  }

  async function componentsPartial(path: string, call: PartialCall, handle: Handle, text: string) {
    const name = nameOf(path);
    const components = componentsOf(name, call.key, handle);
    if (!components) return undefined;
    const drop = () => removeComponents(api, components, { signal: AbortSignal.timeout(TIDY_MS) });
    const parts = await findComponents(api, name, call, handle);
    if (!parts) {
      await drop();
      return undefined;
    }
    found.set(text, parts);
    return { end: parts.length * handle.bytes, drop };
  }

  return {
    memory(size) {
      const stream = Math.min(CHUNK_BYTES, size ?? CHUNK_BYTES);
      if (parallel === undefined || size === undefined || size < limits.least) return stream;
      return (parallel + 1) * limits.bytes(size);
    },

    async write(path, bytes, call) {
      const handle = call.resume?.handle;
      if (handle === undefined) return writeNew(path, bytes, call);
      const resume = parseHandle(handle);
      const had = found.get(handle);
      try {
        if (!resume) return await writeObject(api, path, bytes, call);
        if (had) return await compose(path, bytes, { call, resume, had });
      } finally {
        claimed.delete(handle);
        found.delete(handle);
      }
      throw new TransferError(
        'changed',
        `write \`gs://${api.bucket}/${nameOf(path)}\`: nothing to go on from`,
      );
    },

    async partial(path, call) {
      const { handle, signal } = call;
      if (handle === undefined || claimed.has(handle)) return undefined;
      claimed.add(handle);
      const parsed = parseHandle(handle);
      const left = await (parsed
        ? componentsPartial(path, call, parsed, handle)
        : sessionPartial(path, handle, signal)
      ).catch((error: unknown) => {
        claimed.delete(handle);
        throw error;
      });
      if (!left) {
        claimed.delete(handle);
        return undefined;
      }
      return {
        handle,
        ranges: left.end === 0 ? [] : [{ start: 0, end: left.end }],
        isProven: true,
        async release(keep) {
          claimed.delete(handle);
          found.delete(handle);
          if (!keep) await left.drop();
        },
      };
    },
  };
}
