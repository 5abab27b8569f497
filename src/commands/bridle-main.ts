import { COMMANDS } from './commands.ts';
import { processIo } from './io.ts';
import { VERSION } from './version.ts';

process.exitCode = await main(process.argv.slice(2));
// Connections that a server keeps open, or a reader that never ends, must not hold up a finished process.
process.exit();

async function main(args: readonly string[]): Promise<number> {
  const io = processIo();
  const [name = '--help', ...rest] = args;
  if (name === '--version' || name === '-V') {
    io.out(`bridle ${VERSION}\n`);
    return 0;
  }
  try {
    const entry = COMMANDS[name];
    if (!entry) throw new Error(`no such command ${name}`);
    return await (await entry.load())(rest, io);
  } catch (error) {
    const { describeFailure, isReaderGone, statusFor } = await import('./failures.ts');
    if (isReaderGone(error)) return 0;
    io.err(describeFailure('bridle', error, rest.includes('--debug') || rest.includes('-d')));
    return statusFor(error);
  }
}
