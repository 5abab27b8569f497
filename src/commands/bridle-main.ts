import { processIo } from './io.ts';
import { VERSION } from './version.ts';

process.exitCode = await main(process.argv.slice(2));
// Connections that a server keeps open must not hold up a process that is done.
process.exit();

async function main(args: readonly string[]): Promise<number> {
  const io = processIo();
  const [name = '--help', ...rest] = args;
  try {
    if (name === '--version') {
      io.out(`bridle ${VERSION}\n`);
      return 0;
    }
    const [{ findCommand }, { TransferError }] = await Promise.all([
      import('./commands.ts'),
      import('../errors.ts'),
    ]);
    if (name === '--help' || name === '-h') return await (await import('./help.ts')).help([], io);
    const entry = findCommand(name);
    if (!entry) {
      const what = name.startsWith('-') ? 'option' : 'command';
      throw new TransferError('invalid-request', `no such ${what}: \`${name}\``);
    }
    if (asksForHelp(rest)) return await (await import('./help.ts')).help([name], io);
    return await (await entry.load())(rest, io);
  } catch (error) {
    const { describeFailure, EXIT, isReaderGone, statusFor } = await import('./failures.ts');
    if (isReaderGone(error)) return EXIT.readerLeft;
    io.err(describeFailure(name, error, rest.includes('--debug') || rest.includes('-d')));
    return statusFor(error);
  }
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
}
