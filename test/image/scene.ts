import {
  type MemoryRegistry,
  type Misbehave,
  startMemoryRegistry,
} from '../../fixtures/misbehaving/registry.ts';
import type { TransferError } from '../../src/errors.ts';
import type { Platform } from '../../src/image/image.ts';
import { parseReference } from '../../src/image/reference.ts';
import type { RegistrySettings } from '../../src/image/registry/hosts.ts';
import { type Found, findImage } from '../../src/image/registry/resolve.ts';
import type { Bytes, Secrets } from '../../src/protocol.ts';
import { closeAll, makeClient, never } from '../http/scripted.ts';

const open: MemoryRegistry[] = [];

/** A registry that ends with the test. */
export async function registry(misbehave?: Misbehave): Promise<MemoryRegistry> {
  const started = await startMemoryRegistry(misbehave);
  open.push(started);
  return started;
}

export async function closeScene(): Promise<void> {
  await closeAll();
  await Promise.all(open.splice(0).map((one) => one.close()));
}

export interface FindOptions {
  readonly platform?: Platform;
  readonly secrets?: Secrets;
  readonly settings?: Partial<RegistrySettings>;
  readonly warnings?: string[];
}

/** The image of this name, by a client of its own. */
export function find(name: string, options: FindOptions = {}): Promise<Found> {
  const { platform = { os: 'linux', architecture: 'amd64' } } = options;
  return findImage(
    parseReference(name),
    {
      http: makeClient(),
      settings: { insecure: [], mirrors: [], ...options.settings },
      secretsFor: async () => options.secrets ?? {},
      warn: (_, message) => options.warnings?.push(message),
    },
    { platform, signal: never },
  );
}

export async function collect(bytes: Bytes): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(Uint8Array.from(piece));
  return Buffer.concat(pieces);
}

/** What the work is refused with, as one text with its code and hint. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: TransferError) => reason,
  );
  return error
    ? `${error.code}: ${error.message}${error.hint === undefined ? '' : ` | ${error.hint}`}`
    : 'nothing';
}
