import { homedir } from 'node:os';
import type { RunOptions } from '../engine.ts';
import { TransferError } from '../errors.ts';
import type { Environment } from '../request.ts';
import { stateDirectory } from '../state-directory.ts';
import type { Values } from './option.ts';
import type { CP_OPTIONS } from './options.ts';

/** What every command that moves files has been told. */
export type RunValues = Omit<Values<typeof CP_OPTIONS>, 'recursive' | 'include' | 'exclude'> & {
  readonly removeAnyway?: boolean;
};

/** The engine's options for what a user asked for. */
export function runOptions(
  values: RunValues,
  env: Environment,
  fault?: () => string | undefined,
): RunOptions {
  return {
    state: values.state ?? stateDirectory(env, homedir()),
    threads: values.threads,
    perHost: values.perHost ?? values.threads,
    attempts: values.attempts,
    memory: values.memory,
    itemSeconds: values.itemTimeout,
    retryNotFoundSeconds: values.retryNotFound,
    removeAnyway: values.removeAnyway ?? false,
    checksums: wantsDigests(values) ? ['sha256'] : values.checksum,
    verifyWritten: values.verifyWritten,
    require: values.require,
    preserve: values.preserve,
    update: values.update,
    symlink: values.symlink,
    blocks: values.blocks !== undefined,
    ...(values.bandwidth === undefined ? {} : { bandwidth: values.bandwidth }),
    ...(fault === undefined ? {} : { fault }),
  };
}

/** A receipt without a digest proves nothing later, and what is to be written down must be made. */
function wantsDigests({ receipts, writeChecksums, checksum }: RunValues): boolean {
  return checksum.length === 0 && (receipts !== undefined || writeChecksums !== undefined);
}

/** Random numbers from 0 up to 1: the same in every run under `BRIDLE_SEED`, so that one can be repeated. */
export function randomFrom(env: Environment): () => number {
  const seed = env.BRIDLE_SEED;
  if (!seed) return Math.random;
  if (!/^\d{1,10}$/.test(seed)) {
    throw new TransferError('invalid-request', `BRIDLE_SEED: expected a whole number, got \`${seed}\``);
  }
  let state = Number(seed) >>> 0;
  // mulberry32 (Tommy Ettinger, public domain)
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
