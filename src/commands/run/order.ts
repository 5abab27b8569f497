import { resolve } from 'node:path';
import { MOST_HELD_BACK } from '../../engine.ts';
import { TransferError } from '../../errors.ts';
import { type ByteText, fromBytes, fromText } from '../../job/byte-text.ts';
import { rawArguments } from '../../job/raw-process.ts';
import { formatLocation } from '../../location.ts';
import type { Environment, Place } from '../../request.ts';
import type { Values } from '../option.ts';
import { RUN_OPTIONS } from '../options.ts';
import { parseOptions } from '../parse-options.ts';
import { type JobFile, parsePair, parsePlace, readSpec } from './spec.ts';

/** What `bridle run` was asked to do; its paths are absolute. */
export interface RunOrder {
  readonly values: Values<typeof RUN_OPTIONS>;
  readonly inputs: readonly JobFile[];
  readonly outputs: readonly JobFile[];
  /** Where to say that all outputs are there; with it none appears before all are stored. */
  readonly manifest: Place | undefined;
  /** The program and its arguments. */
  readonly command: readonly ByteText[];
}

/** Throws `invalid-request` for whatever cannot be meant. */
export function readOrder(args: readonly string[], env: Environment): RunOrder {
  const end = args.indexOf('--');
  const { values, positionals } = parseOptions(end < 0 ? args : args.slice(0, end), RUN_OPTIONS, { env });
  if (positionals.length > 0) {
    throw new TransferError('invalid-request', `expected no arguments, got \`${positionals[0]}\``, {
      hint: 'the command stands behind `--`',
    });
  }
  if (values.capture && values.record === undefined) {
    throw new TransferError(
      'invalid-request',
      '--capture: expected --record, which is where output goes, got nothing',
    );
  }
  const spec = values.spec === undefined ? undefined : readSpec(values.spec);
  const given = end < 0 ? [] : asBytes(args.slice(end + 1));
  const command = given.length > 0 ? given : (spec?.command ?? []).map(fromText);
  if (command.length === 0) {
    throw new TransferError('invalid-request', 'expected a command, got nothing', {
      hint: 'it stands behind `--`, or in `command` of the job that --spec names',
    });
  }
  const inputs = [...(spec?.inputs ?? []), ...values.input.map((text) => parsePair(text, '--input'))];
  const outputs = [...(spec?.outputs ?? []), ...values.output.map((text) => parsePair(text, '--output'))];
  requireOnce(inputs, 'input');
  requireOnce(outputs, 'output');
  const manifest =
    values.atomicOutputs === undefined ? undefined : parsePlace(values.atomicOutputs, '--atomic-outputs');
  if (manifest) requireApart(outputs, manifest);
  const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(path));
  // The job's image and its outputs are moved from within the work directory.
  const paths = {
    record: absolute(values.record),
    state: absolute(values.state),
    cache: absolute(values.cache),
    checksums: values.checksums.map((file) => resolve(file)),
  };
  return { values: { ...values, ...paths }, inputs, outputs, manifest, command };
}

/** The last arguments of this process, byte for byte. */
function asBytes(words: readonly string[]): ByteText[] {
  try {
    const raw = rawArguments();
    if (words.length > 0 && raw.length > words.length) return raw.slice(-words.length).map(fromBytes);
  } catch {
    // Without /proc they are taken as text.
  }
  return words.map(fromText);
}

function requireOnce(files: readonly JobFile[], what: string): void {
  const seen = new Set<string>();
  for (const { lfn } of files) {
    if (seen.has(lfn)) {
      throw new TransferError(
        'invalid-request',
        `${what}s: expected each name once, \`${lfn}\` is there twice`,
      );
    }
    seen.add(lfn);
  }
}

/** What waits for the others has a place of its own, where a file is stored. */
function requireApart(outputs: readonly JobFile[], manifest: Place): void {
  const group = outputs.filter(({ isCheckpoint, places }) => !isCheckpoint && places.length > 0);
  if (group.length > MOST_HELD_BACK) {
    throw new TransferError(
      'invalid-request',
      `--atomic-outputs: expected at most ${MOST_HELD_BACK} outputs, got ${group.length}`,
      { hint: 'make one archive of many small files' },
    );
  }
  const seen = new Set<string>();
  for (const { location } of [manifest, ...group.flatMap(({ places }) => places)]) {
    const name = formatLocation(location);
    if (location.scheme === 'symlink' || location.scheme === 'moveto') {
      throw new TransferError(
        'invalid-request',
        `--atomic-outputs: expected places that files are stored at, got \`${name}\``,
      );
    }
    if (seen.has(name)) {
      throw new TransferError(
        'invalid-request',
        `--atomic-outputs: expected a place for each, \`${name}\` is there twice`,
      );
    }
    seen.add(name);
  }
}
