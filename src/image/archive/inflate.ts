import { spawn } from 'node:child_process';
import { open, rm } from 'node:fs/promises';
import { onAbort } from '../../abort.ts';
import { TransferError, toTransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import { openSource, statPath } from '../../local/source.ts';
import type { Bytes } from '../../protocol.ts';
import { safeText } from '../../safe-text.ts';
import { giveBack } from '../../slabs.ts';
import { gunzipped } from '../layers/gzip.ts';
import { INFLATION, type InflationLimits } from '../layers/uncompressed.ts';
import { unzstd } from '../layers/zstd.ts';
import { readHeader } from '../tar/header.ts';
import { BLOCK } from '../tar/member.ts';

/** What a whole archive may be compressed by. */
export type Compression = 'gzip' | 'zstd' | 'bzip2' | 'xz';

/** The first bytes of each (RFC 1952 §2.3.1; RFC 8878 §3.1.1; bzip2(1) and the .xz file format 1.1.0 §2.1.1.1). */
const MAGIC: Readonly<Record<Compression, readonly number[]>> = {
  gzip: [0x1f, 0x8b],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
  bzip2: [0x42, 0x5a, 0x68],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
};

/** Bytes of a program's complaints that are kept. */
const KEPT = 4096;

/** How a file that begins with these bytes is compressed; 6 of them tell. Undefined when it is not. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const found = Object.entries(MAGIC).find(([, magic]) => magic.every((byte, at) => head[at] === byte));
  return found?.[0] as Compression | undefined;
}

export interface InflateCall {
  readonly compression: Compression;
  /** Directories of programs, as `PATH` has them: bzip2 and xz are unpacked by the programs of their name. */
  readonly programs: string;
  readonly signal: AbortSignal;
  readonly limits?: InflationLimits;
}

/**
 * The tar archive that the compressed file `path` holds lies in `to`, which must be absent; nothing is there on a failure.
 * Resolves with its bytes. Rejects with `invalid-request` when the data is cut or broken, is no archive, or inflates
 * beyond `limits`, and with `unsupported` when a program that it takes is not there.
 */
export async function inflateArchive(path: string, to: string, call: InflateCall): Promise<number> {
  const doing = `unpacking the archive \`${path}\``;
  const { compression, programs, signal, limits } = call;
  const { size: stored = 0 } = await statPath(path, { follow: true });
  const file = await open(to, 'wx', 0o600).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const { bytes: source } = await openSource(path, { signal });
    const unpacked =
      compression === 'gzip'
        ? gunzipped(source[Symbol.asyncIterator]())
        : compression === 'zstd'
          ? unzstd(source[Symbol.asyncIterator]())
          : byProgram(compression, source, { programs, signal });
    let size = 0;
    for await (const chunk of archived(bounded(unpacked, stored, limits))) {
      await file.write(chunk, 0, chunk.length, size);
      size += chunk.length;
    }
    return size;
  } catch (error) {
    await rm(to, { force: true });
    const { code, message, hint } = toTransferError(error, 'unpacking');
    throw new TransferError(code, `${doing}: ${message}`, { cause: error, ...(hint ? { hint } : {}) });
  } finally {
    await file.close();
  }
}

async function* bounded(
  bytes: Bytes,
  stored: number,
  limits: InflationLimits = {},
): AsyncGenerator<Uint8Array> {
  const { most = INFLATION.most, ratio = INFLATION.ratio } = limits;
  const bound = Math.min(most, Math.max(limits.most ?? INFLATION.unsuspected, ratio * stored));
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > bound) {
      throw new TransferError('invalid-request', `it inflates from ${stored} to more than ${bound} bytes`);
    }
    yield chunk;
  }
}

/** Refuses what is no archive by its first block: there is no need to see how much there is of it. */
async function* archived(bytes: Bytes): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of bytes) {
    if (head && head.length < BLOCK) head = Buffer.concat([head, chunk.subarray(0, BLOCK - head.length)]);
    if (head && head.length === BLOCK) {
      requireArchive(head);
      head = undefined;
    }
    yield chunk;
  }
  if (head) throw new TransferError('invalid-request', 'what is in it is no tar archive');
}

function requireArchive(block: Uint8Array): void {
  try {
    readHeader(block);
  } catch (cause) {
    throw new TransferError('invalid-request', 'what is in it is no tar archive', { cause });
  }
}

/** Unpacked by the program of that name: no well-kept package does it. */
async function* byProgram(
  compression: 'bzip2' | 'xz',
  source: Bytes,
  { programs, signal }: { readonly programs: string; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const program = findProgram([compression], programs);
  if (!program) {
    const packages = { bzip2: 'bzip2', xz: 'xz-utils' };
    throw new TransferError('unsupported', `\`${compression}\` is not in PATH`, {
      hint: `install Debian's \`${packages[compression]}\`: apt-get install ${packages[compression]}`,
    });
  }
  const child = spawn(program.file, ['--decompress', '--stdout'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: programs, LC_ALL: 'C' },
  });
  const stopWaiting = onAbort(signal, () => child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    said = (said + text).slice(-KEPT);
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(toTransferError(error, 'starting it').message));
    child.on('close', (status, name) =>
      resolve(status === 0 ? undefined : said.trim() || `ended with ${name ?? `status ${status}`}`),
    );
  });
  // Why it takes no more is told by its end.
  child.stdin.on('error', () => undefined);
  let failure: { readonly error: unknown } | undefined;
  const feeding = feed(child.stdin, source).catch((error: unknown) => {
    failure = { error };
    child.kill('SIGKILL');
  });
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    await feeding;
    const problem = await ended;
    if (failure) throw failure.error;
    if (signal.aborted) throw new TransferError('canceled', 'canceled');
    if (problem !== undefined) {
      throw new TransferError('invalid-request', `\`${program.file}\`: ${safeText(problem)}`);
    }
  } finally {
    stopWaiting();
    child.kill('SIGKILL');
    await ended;
  }
}

async function feed(
  input: NodeJS.WritableStream & { readonly destroyed?: boolean },
  source: Bytes,
): Promise<void> {
  for await (const chunk of source) {
    if (input.destroyed) return;
    // A slab is lent again as soon as it is given back.
    const isRoom = input.write(Buffer.from(chunk));
    giveBack(chunk);
    if (!isRoom) {
      await new Promise<void>((resolve) => {
        const done = () => {
          input.off('drain', done).off('close', done);
          resolve();
        };
        input.on('drain', done).on('close', done);
      });
    }
  }
  input.end();
}
