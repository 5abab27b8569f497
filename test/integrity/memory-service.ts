import { createHash } from 'node:crypto';
import type { Algorithm, Digest, Endpoint, Source, Staged, Stored } from '../../src/protocol.ts';

export function sha256Of(bytes: Uint8Array): Digest {
  return { algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') };
}

export interface MemoryOptions {
  /** What becomes of the bytes that are stored. */
  readonly spoil?: (bytes: Buffer) => Buffer;
  /** Staged bytes can be read back. */
  readonly isStaged?: boolean;
  readonly stored?: (bytes: Buffer) => Partial<Stored>;
  readonly read?: Endpoint['read'];
  readonly digest?: (bytes: Buffer) => readonly Digest[];
  readonly digestsOnWrite?: readonly Algorithm[];
  readonly told?: (bytes: Buffer) => Partial<Source>;
}

/** A service in memory, with a diary of what it was asked. */
export function memoryService(options: MemoryOptions = {}) {
  const files = new Map<string, Buffer>();
  const diary: string[] = [];
  const sourceOf = (bytes: Buffer): Source => ({
    type: 'file',
    size: bytes.length,
    bytes: (async function* () {
      yield Uint8Array.from(bytes);
    })(),
    ...options.told?.(bytes),
  });
  const at = (path: string) => files.get(path) ?? Buffer.alloc(0);
  const endpoint: Endpoint = {
    service: 'memory',
    ...(options.digestsOnWrite ? { digestsOnWrite: options.digestsOnWrite } : {}),
    async stat(path) {
      diary.push('stat');
      return { type: 'file', size: at(path).length, ...options.told?.(at(path)) };
    },
    async read(path, call) {
      diary.push('read');
      return options.read ? options.read(path, call) : sourceOf(at(path));
    },
    async write(path, bytes): Promise<Staged> {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(Uint8Array.from(chunk));
      const sent = Buffer.concat(chunks);
      const kept = options.spoil?.(sent) ?? sent;
      return {
        ...(options.isStaged
          ? {
              read: async () => {
                diary.push('read staged');
                return sourceOf(kept);
              },
            }
          : {}),
        async commit() {
          diary.push('commit');
          files.set(path, kept);
          return { digests: [], size: kept.length, ...options.stored?.(kept) };
        },
        async abort() {
          diary.push('abort');
        },
      };
    },
    async remove(path) {
      diary.push('remove');
      files.delete(path);
    },
    ...(options.digest
      ? {
          digest: async (path: string) => {
            diary.push('digest');
            return options.digest?.(at(path)) ?? [];
          },
        }
      : {}),
  };
  return { endpoint, files, diary };
}
