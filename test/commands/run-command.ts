import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect } from 'vitest';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

export interface Ended {
  /** The exit status; the name of the signal when one ended it. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly program?:
    | 'bridle'
    | 'pegasus-exitcode'
    | 'pegasus-integrity'
    | 'pegasus-kickstart'
    | 'pegasus-s3'
    | 'pegasus-transfer';
}

/** Starts a program as built, with nothing of the tests' own environment but the PATH. */
export function start(args: readonly string[], options: CallOptions): ChildProcess {
  const main = join(DIST, `${options.program ?? 'bridle'}.js`);
  return spawn(process.execPath, [main, ...args], {
    cwd: options.cwd,
    env: { PATH: process.env.PATH ?? '', HOME: options.cwd, TZ: 'UTC', ...options.env },
  });
}

/** Resolves when the program has ended and its output was read. */
export function ended(child: ChildProcess): Promise<Ended> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({
        status: code ?? signal ?? 'nothing',
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
  });
}

/** Runs `bridle ARGS` to its end. */
export function bridle(args: readonly string[], options: CallOptions): Promise<Ended> {
  const child = start(args, options);
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input ?? '');
  return ended(child);
}

/** Resolves once the server has sent so many bytes; rejects when the program ended before that. */
export async function untilSent(
  server: { bytesSent(): number },
  bytes: number,
  end: Promise<Ended>,
): Promise<void> {
  const early = end.then(({ status, stderr }) => {
    throw new Error(`ended early with ${status}: ${stderr}`);
  });
  const sent = expect
    .poll(() => server.bytesSent(), { timeout: 20_000, interval: 20 })
    .toBeGreaterThan(bytes);
  await Promise.race([sent, early]);
}

const scratches: string[] = [];

afterEach(() => {
  for (const path of scratches.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** An empty directory that is removed after the test. */
export function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), 'bridle-command-'));
  scratches.push(path);
  return path;
}

/** One entry of a transfer list. */
export function entry(from: string, to: string, more: Readonly<Record<string, unknown>> = {}) {
  return {
    type: 'transfer',
    src_urls: [{ site_label: 'here', url: from }],
    dest_urls: [{ site_label: 'there', url: to }],
    ...more,
  };
}
