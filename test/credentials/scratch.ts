import { chmod, chown, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { type Credentials, createCredentials } from '../../src/credentials/credentials.ts';
import { TransferError } from '../../src/errors.ts';
import { type ParsedUrl, parseUrl } from '../../src/location.ts';

/** What every planted secret holds; no message may. */
export const MARK = 's3cret';

export const FIXTURES = join(import.meta.dirname, '../../fixtures/credentials');

export const UID = process.geteuid?.() ?? 0;

export interface Scratch {
  /** A new directory for each test, which is its home and its shared directory too. */
  readonly directory: string;
  path(name: string): string;
  write(name: string, text: string | Uint8Array, mode?: number): Promise<string>;
  copy(fixture: string, name: string): Promise<string>;
  /** Gives the file to another user where we may; returns its owner. */
  disown(path: string): Promise<number>;
}

/** A directory that exists during each test of the file that calls this. */
export function useScratch(): Scratch {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bridle-credentials-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const path = (name: string) => join(directory, name);
  return {
    get directory() {
      return directory;
    },
    path,
    async write(name, text, mode = 0o600) {
      await writeFile(path(name), text);
      await chmod(path(name), mode);
      return path(name);
    },
    async copy(fixture, name) {
      await copyFile(join(FIXTURES, fixture), path(name));
      await chmod(path(name), 0o600);
      return path(name);
    },
    async disown(file) {
      if (UID !== 0) return UID;
      await chown(file, 4242, 4242);
      return 4242;
    },
  };
}

export interface Setup {
  readonly credentials: Credentials;
  readonly warnings: string[];
  readonly clock: { time: number };
}

/** Credentials over a scratch directory, with a clock that stands until it is set. */
export function setUp(scratch: Scratch, env: Record<string, string>, uid = UID): Setup {
  const warnings: string[] = [];
  const clock = { time: 0 };
  const credentials = createCredentials({
    env,
    uid,
    home: scratch.directory,
    shared: scratch.directory,
    warn: (_key, message) => warnings.push(message),
    now: () => clock.time,
  });
  return { credentials, warnings, clock };
}

/** Arguments of `secretsFor` for a URL. */
export function at(url: string, site = ''): [ParsedUrl['location'], ParsedUrl['secret']] {
  const { location, secret } = parseUrl(url, { site });
  return [location, secret];
}

/** The {@link TransferError} that `work` ends in; anything else fails the test. */
export async function errorOf(work: () => unknown): Promise<TransferError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TransferError) return error;
    throw error;
  }
  throw new Error('expected a TransferError, got a result');
}

/** Everything an error could show: messages, hints, causes and their stacks. */
export function everythingIn(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const hint = error instanceof TransferError ? error.hint : '';
  return [error.message, error.stack, hint, JSON.stringify(error), everythingIn(error.cause)].join('\n');
}
