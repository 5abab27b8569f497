import { tmpdir } from 'node:os';
import { TransferError } from '../errors.ts';
import { openList } from '../list.ts';
import { badInput } from './failures.ts';
import type { Io } from './io.ts';
import { TRANSFER_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { runAndTell } from './running.ts';

/** `bridle transfer`: what a list in a file or on standard input says. */
export async function transfer(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, TRANSFER_OPTIONS, { env: io.env });
  if (positionals.length > 0) {
    throw new TransferError('invalid-request', `expected no arguments, got \`${positionals[0]}\``, {
      hint: 'a list is given with --file, or on standard input',
    });
  }
  const spoolDirectory = io.env.TMPDIR || tmpdir();
  const source =
    values.file === undefined
      ? { stream: io.input(), spoolDirectory }
      : { path: values.file, spoolDirectory };
  const list = await badInput(() => openList(source, { env: io.env }));
  try {
    return await runAndTell(values, io, () => ({
      total: list.summary.total,
      requests: (kind) => list.requests(kind),
    }));
  } finally {
    await list.close();
  }
}
