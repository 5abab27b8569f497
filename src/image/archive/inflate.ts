import { open, rm } from 'node:fs/promises';
import { TransferError, toTransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import { openSource, statPath } from '../../local/source.ts';
import type { Bytes } from '../../protocol.ts';
import { safeText } from '../../safe-text.ts';
import { giveBack } from '../../slabs.ts';
import { gunzipped } from '../layers/gzip.ts';
import { type InflationLimits, mostInflated } from '../layers/uncompressed.ts';
import { unzstd } from '../layers/zstd.ts';
import { type Program, room, startProgram } from '../program.ts';
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
 * beyond what a layer may, and with `unsupported` when a program that it takes is not there.
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
  const bound = mostInflated(stored, limits);
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
  const running = startProgram(program.file, ['--decompress', '--stdout'], { path: programs, signal });
  let failure: { readonly error: unknown } | undefined;
  const feeding = feed(running, source).catch((error: unknown) => {
    failure = { error };
    running.child.kill('SIGKILL');
  });
  try {
    for await (const chunk of running.output) yield chunk as Buffer;
    await feeding;
    const { status, said } = await running.ended;
    if (failure) throw failure.error;
    if (signal.aborted) throw new TransferError('canceled', 'canceled');
    if (status !== 0) throw new TransferError('invalid-request', `\`${program.file}\`: ${safeText(said)}`);
  } finally {
    await running.stop();
  }
}

async function feed(program: Program, source: Bytes): Promise<void> {
  const { input } = program;
  for await (const chunk of source) {
    if (input.destroyed) return;
    // A slab is lent again as soon as it is given back.
    const isRoom = input.write(Buffer.from(chunk));
    giveBack(chunk);
    if (!isRoom) await room(program);
  }
  input.end();
}
