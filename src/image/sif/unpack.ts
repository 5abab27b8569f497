import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { onAbort } from '../../abort.ts';
import { TransferError, toTransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import { safeText } from '../../safe-text.ts';
import { extract, refuseFilled } from '../layers/extract.ts';
import { PRIMARY_SYSTEM, type SifObject, SQUASHFS } from './layout.ts';
import { readSif } from './read.ts';
import { tidyTree } from './tidy-tree.ts';

export interface UnpackCall {
  /** Directories of programs, as `PATH` has them. */
  readonly programs: string;
  readonly signal: AbortSignal;
}

export interface UnpackedSif {
  /** Of all files. */
  readonly bytes: number;
  /** What was left out, a sentence each. */
  readonly notes: readonly string[];
}

/** The first gives an archive, which we extract as any other; the second makes the tree itself, which is put in order then. */
const UNPACKERS = ['sqfs2tar', 'unsquashfs'] as const;
/** Bytes of a program's complaints that are kept. */
const KEPT = 4096;
/** `unsquashfs` tells by it of what it could not make, such as devices; anything worse is 1. */
const SOME_LEFT_OUT = 2;
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  2: 'ext3',
  3: 'an archive',
  4: 'raw',
  5: 'encrypted',
};

/**
 * The root file system of the SIF file at `path` lies in the directory `to`, which must be absent or empty: without
 * devices and the bits that lend power, nothing outside touched, nothing left on a failure. Rejects as `readSif` and
 * `extract` do, and with `unsupported` for another file system than squashfs and where no program that unpacks one is in
 * `call.programs`.
 */
export async function unpackSif(path: string, to: string, call: UnpackCall): Promise<UnpackedSif> {
  const doing = `unpacking \`${path}\``;
  const { objects } = await readSif(path);
  const partition = objects.find((object) => object.partition?.kind === PRIMARY_SYSTEM);
  if (partition?.partition?.fileSystem !== SQUASHFS) {
    const other = FILE_SYSTEMS[partition?.partition?.fileSystem ?? 0] ?? 'unknown';
    throw new TransferError(
      'unsupported',
      `${doing}: expected a squashfs in it, its file system is ${other}`,
    );
  }
  const program = findProgram(UNPACKERS, call.programs);
  if (!program) {
    throw new TransferError('unsupported', `${doing}: none of ${UNPACKERS.join(', ')} is in PATH`, {
      hint: "install Debian's `squashfs-tools` or `squashfs-tools-ng`: apt-get install squashfs-tools",
    });
  }
  refuseFilled(to);
  const scratch = await mkdtemp(join(dirname(to), `.${basename(to)}.bridle-`)).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const place = { path, partition, scratch, to };
    return await (program.name === 'sqfs2tar' ? byArchive : byTree)(program.file, place, call);
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Place {
  readonly path: string;
  readonly partition: SifObject;
  readonly scratch: string;
  readonly to: string;
}

async function byArchive(
  program: string,
  { path, partition: { offset, size }, scratch, to }: Place,
  { signal, programs }: UnpackCall,
): Promise<UnpackedSif> {
  // The program takes whole files alone.
  const squashfs = join(scratch, 'squashfs');
  const source = fs.createReadStream(path, { start: offset, end: offset + size - 1, highWaterMark: 1 << 20 });
  await pipeline(source, fs.createWriteStream(squashfs, { flags: 'wx', mode: 0o600 }), { signal });
  const running = start(program, ['--root-becomes', '.', squashfs], { signal, programs });
  async function* archive(): AsyncGenerator<Uint8Array> {
    for await (const chunk of running.output) yield chunk as Buffer;
    await running.end(0);
  }
  try {
    return await extract(archive(), to, { signal });
  } finally {
    await running.stop();
  }
}

async function byTree(
  program: string,
  { path, partition: { offset }, scratch, to }: Place,
  { signal, programs }: UnpackCall,
): Promise<UnpackedSif> {
  const root = join(scratch, 'root');
  const args = ['-quiet', '-no-progress', '-no-xattrs', '-o', String(offset), '-d', root, path];
  const running = start(program, args, { signal, programs });
  try {
    running.output.resume();
    await running.end(...(process.geteuid?.() === 0 ? [0] : [0, SOME_LEFT_OUT]));
  } finally {
    await running.stop();
  }
  const { bytes, notes } = tidyTree(root);
  if (signal.aborted) throw new TransferError('canceled', 'canceled');
  fs.renameSync(root, to);
  return { bytes, notes };
}

/** A program whose end is looked at. */
function start(program: string, args: readonly string[], { signal, programs }: UnpackCall) {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: programs, LC_ALL: 'C' },
  });
  // Node throws away what nobody has begun to read when a child ends.
  const output = child.stdout.pipe(new PassThrough());
  const stopWaiting = onAbort(signal, () => child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    said = (said + text).slice(-KEPT);
  });
  const ended = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(toTransferError(error, 'starting it').message));
    child.on('close', (status, name) => resolve(status ?? `ended with ${name}`));
  });
  return {
    output,
    /** Rejects unless it ends with one of these. */
    async end(...good: readonly number[]): Promise<void> {
      const status = await ended;
      if (signal.aborted) throw new TransferError('canceled', 'canceled');
      if (good.some((one) => one === status)) return;
      const reason = said.trim().split('\n').pop() || `ended with ${status}`;
      throw new TransferError('invalid-request', `\`${program}\`: ${safeText(reason)}`);
    },
    async stop(): Promise<void> {
      stopWaiting();
      child.kill('SIGKILL');
      await ended;
    },
  };
}
