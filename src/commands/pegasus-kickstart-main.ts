import { toTransferError } from '../errors.ts';
import { fromBytes, fromText } from '../job/byte-text.ts';
import { rawArguments } from '../job/raw-process.ts';
import { processIo } from './io.ts';
import { run } from './pegasus-kickstart/run.ts';
import { STATUS } from './pegasus-kickstart/status.ts';
import { VERSION } from './version.ts';

process.exitCode = await main();
// Timers, and threads that still wait for work, must not hold up a wrapper that is done.
process.exit();

async function main(): Promise<number> {
  const { out, err, env } = processIo();
  try {
    return await run({ args: ownArguments(), settings: env, version: VERSION, out, err });
  } catch (error) {
    err(`${toTransferError(error, 'unexpected error').message}\n`);
    return STATUS.notRun;
  }
}

/** Byte for byte. Those of node itself stand before them. */
function ownArguments(): string[] {
  const args = process.argv.slice(2);
  try {
    const raw = rawArguments();
    if (raw.length >= args.length) return raw.slice(raw.length - args.length).map(fromBytes);
  } catch {
    // Without /proc they are taken as text.
  }
  return args.map(fromText);
}
