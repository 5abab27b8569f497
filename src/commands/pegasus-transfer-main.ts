import { TransferError } from '../errors.ts';
import { optionLine } from './help.ts';
import { processIo } from './io.ts';
import { LEGACY_OPTIONS } from './options.ts';
import { type Parsed, parseOptions } from './parse-options.ts';

process.exitCode = await main(process.argv.slice(2));
// Connections that a server keeps open must not hold up a process that is done.
process.exit();

async function main(args: readonly string[]): Promise<number> {
  const io = processIo();
  let parsed: Parsed<typeof LEGACY_OPTIONS>;
  try {
    parsed = parseOptions(args, LEGACY_OPTIONS, { env: io.env, prefixes: true });
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    io.err(`Usage: pegasus-transfer [options]\n\npegasus-transfer: error: ${error.message}\n`);
    return 2;
  }
  if (parsed.help) {
    const lines = Object.values(LEGACY_OPTIONS).map(optionLine).join('');
    io.out(`Usage: pegasus-transfer [options]\n\nOptions:\n${lines}  -h, --help\n`);
    return 0;
  }
  const { legacyTransfer } = await import('./legacy-transfer.ts');
  return legacyTransfer(parsed.values, io);
}
