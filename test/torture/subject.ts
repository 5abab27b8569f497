import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import { startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import type { Wanted } from './place.ts';

/** What one run asked the sender for. */
export interface Traffic {
  /** Offset of the first request. */
  readonly start: number;
  readonly bytes: number;
}

/** Something to transfer, slowly enough that a kill at any moment falls into its middle. */
export interface Subject {
  readonly size: number;
  /** Bytes a second. */
  readonly rate: number;
  /** What the command line needs besides the list. */
  readonly args: readonly string[];
  wanted(): Wanted;
  /** Since the last call; undefined when nothing was asked for, or nobody counts. */
  traffic(): Traffic | undefined;
  /** Other bytes of the same size are there from now on. */
  change(): Promise<void>;
  close(): Promise<void>;
}

export type SubjectName = 'http' | 'local';

export interface SubjectOptions {
  readonly size: number;
  readonly rate: number;
  readonly seed: number;
  /** For the source of a local copy. */
  readonly directory: string;
}

/** A server that counts what it sends, or a file that is copied through a stream. */
export function startSubject(name: SubjectName, options: SubjectOptions): Promise<Subject> {
  return name === 'http' ? startHttp(options) : startLocal(options);
}

async function startHttp({ size, rate, seed }: SubjectOptions): Promise<Subject> {
  const server = await startMisbehaving({ content: { size, seed }, rate });
  let counted = 0;
  let seen = 0;
  return {
    size,
    rate,
    args: [],
    wanted: () => ({ url: server.url, sha256: server.content().digest('sha256') }),
    traffic() {
      const first = server.requests.slice(seen).find(({ method }) => method === 'GET');
      const bytes = server.bytesSent() - counted;
      seen = server.requests.length;
      counted += bytes;
      return first && { start: offsetOf(first.headers.range), bytes };
    },
    change: async () => server.change(),
    close: server.close,
  };
}

function offsetOf(range: string | undefined): number {
  return Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
}

async function startLocal({ size, rate, seed, directory }: SubjectOptions): Promise<Subject> {
  const path = join(directory, `source-${seed}.bin`);
  let content = makeContent(size, seed);
  const write = async () => {
    const file = await open(path, 'w');
    for (const block of content.blocks()) await file.write(block);
    await file.close();
  };
  await write();
  return {
    size,
    rate,
    args: ['--bwlimit', String(rate)],
    wanted: () => ({ url: `file://${path}`, sha256: content.digest('sha256') }),
    traffic: () => undefined,
    async change() {
      content = makeContent(size, content.seed + 1);
      await write();
    },
    close: () => rm(path, { force: true }),
  };
}
