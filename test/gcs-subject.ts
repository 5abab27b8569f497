import { type GcsEmulator, startGcsEmulator } from '../fixtures/servers/gcs/emulator.ts';
import { open } from '../protocols/gs.ts';
import { createHttpClient, type HttpClientOptions } from '../src/http/client.ts';
import { parseUrl } from '../src/location.ts';
import type { Endpoint, Secrets } from '../src/protocol.ts';
import type { Subject } from './conformance.ts';

export const BUCKET = 'bucket';

/** An emulator with one bucket, an endpoint for it, and a client that must be closed. */
export async function gcsScene(
  options: Partial<HttpClientOptions> & { readonly secrets?: (again?: boolean) => Promise<Secrets> } = {},
): Promise<{ readonly emulator: GcsEmulator; readonly endpoint: Endpoint; close(): Promise<void> }> {
  const emulator = await startGcsEmulator();
  addBucket(emulator, BUCKET);
  const { secrets, ...rest } = options;
  const http = createHttpClient({
    version: 'test',
    connectionsPerOrigin: 8,
    proxyEnv: {},
    warn: () => undefined,
    ...rest,
  });
  const { location } = parseUrl(`gs://${BUCKET}/`, { site: 'test', env: {} });
  const google = { endpoint: emulator.origin, project: 'p' };
  return {
    emulator,
    endpoint: open(location, { http, secrets: async (again) => ({ google, ...(await secrets?.(again)) }) }),
    close: async () => {
      await http.close();
      await emulator.close();
    },
  };
}

export function addBucket(emulator: GcsEmulator, name: string): void {
  emulator.store.buckets.set(name, { created: new Date().toISOString(), objects: new Map() });
}

/** What is stored, looked at in the emulator's memory. */
export function contentOf(emulator: GcsEmulator, name: string): Buffer | undefined {
  return emulator.store.buckets.get(BUCKET)?.objects.get(name)?.content;
}

/** Stores it past the endpoint. */
export function store(emulator: GcsEmulator, name: string, content: Uint8Array, fields = {}): void {
  emulator.store.put(BUCKET, name, Buffer.from(content), fields, new URLSearchParams());
}

export async function gcsSubject(): Promise<Subject> {
  const { emulator, endpoint, close } = await gcsScene();
  return {
    endpoint,
    path: (name) => (name === '' ? '/place' : `/place/${name}`),
    look: async (name) => contentOf(emulator, `place/${name}`),
    put: async (name, content) => store(emulator, `place/${name}`, content),
    close,
  };
}
