import { setImmediate as turn } from 'node:timers/promises';
import type { GcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { addBucket, BUCKET, contentOf, store } from '../gcs-subject.ts';
import type { StoragePlace } from './place.ts';

/** The one bucket of an emulator, looked at in its memory. */
export function inGcs(emulator: GcsEmulator): StoragePlace {
  addBucket(emulator, BUCKET);
  const objects = () => emulator.store.buckets.get(BUCKET)?.objects;
  return {
    url: (name) => `gs://${BUCKET}/${name}`,
    put: async (name, content) => store(emulator, name, Buffer.concat([...content])),
    async look(name) {
      const content = contentOf(emulator, name);
      return content && piecesOf(content);
    },
    remove: async (name) => void objects()?.delete(name),
    names: async () => [...(objects()?.keys() ?? [])],
    // Nobody can list sessions; the service ends them after a week.
    uploads: async () =>
      [...emulator.sessions]
        .filter(([, { done }]) => !done)
        .map(([id, { name, size }]) => ({ id, name, bytes: size, isListed: false })),
    drop: async ({ id }) => void emulator.sessions.delete(id),
    env: { STORAGE_EMULATOR_HOST: emulator.origin },
    stop: () => emulator.close(),
  };
}

/** No hash takes 2 GiB at once, and signals wait for whoever computes. */
async function* piecesOf(content: Buffer): AsyncGenerator<Uint8Array> {
  const step = 8 * 1024 * 1024;
  for (let at = 0; at < content.length; at += step) {
    await turn();
    yield content.subarray(at, at + step);
  }
}
