import { chmod, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type ServerName,
  type ServerOptions,
  type ServerTypes,
  startServer,
} from '../fixtures/servers/servers.ts';
import { memoryDirectory, withScratch } from '../test/torture/scratch.ts';

const BIN = fileURLToPath(new URL('../bin/', import.meta.url));

/** Where a row keeps its inputs, and what it may use. */
export interface Stage {
  /** In memory. */
  readonly directory: string;
  /** On the machine's disk. */
  readonly disk: string;
  /** Fewer and smaller files, to see that a row works. */
  readonly quick: boolean;
  readonly bridle: string;
  readonly pegasusTransfer: string;
  /** An empty directory with this name, in memory. */
  folder(name: string): Promise<string>;
  /** A web server on the loopback; the same one for a whole row. */
  web(): Promise<{ readonly url: string; readonly root: string }>;
  /** A server whose files lie in memory; it ends with the row. */
  server<Name extends ServerName>(name: Name, options?: ServerOptions): Promise<ServerTypes[Name]>;
  /** Something else that ends with the row. */
  uses<T extends { stop(): Promise<void> }>(start: () => Promise<T>): Promise<T>;
}

export interface StageOptions {
  readonly memory?: string;
  readonly disk?: string;
  readonly quick: boolean;
}

/** Sets the stage for one row, and clears it away when the row has ended, however it did. */
export async function withStage<T>(options: StageOptions, work: (stage: Stage) => Promise<T>): Promise<T> {
  return withScratch('bench', options.memory ?? memoryDirectory(), (directory) =>
    withScratch('bench', options.disk ?? tmpdir(), (disk) => setStage(directory, disk, options.quick, work)),
  );
}

async function setStage<T>(
  directory: string,
  disk: string,
  quick: boolean,
  work: (stage: Stage) => Promise<T>,
): Promise<T> {
  let web: ReturnType<typeof startWeb> | undefined;
  const stops: (() => Promise<void>)[] = [];
  const stage: Stage = {
    directory,
    disk,
    quick,
    bridle: `${BIN}bridle`,
    pegasusTransfer: `${BIN}pegasus-transfer`,
    async folder(name) {
      await mkdir(join(directory, name), { recursive: true });
      return join(directory, name);
    },
    web() {
      web ??= startWeb(join(directory, 'web'));
      return web;
    },
    async server(name, options = {}) {
      // Servers that drop root must be able to walk through.
      await chmod(directory, 0o711);
      const server = await startServer(name, { directory: join(directory, name), ...options });
      stops.push(() => server.stop());
      return server;
    },
    async uses(start) {
      const started = await start();
      stops.push(() => started.stop());
      return started;
    },
  };
  try {
    return await work(stage);
  } finally {
    await (await web?.catch(() => undefined))?.stop();
    for (const stop of stops.reverse()) await stop();
  }
}

async function startWeb(directory: string) {
  // One worker sends 64 streams faster than any of the clients takes them, and leaves them the other processor.
  const { http, root, stop } = await startServer('nginx', { directory, accessLog: false });
  return { url: http, root, stop };
}
