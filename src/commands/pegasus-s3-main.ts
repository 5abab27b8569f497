import { TransferError, toTransferError } from '../errors.ts';
import { EXIT, isReaderGone } from './failures.ts';
import { processIo } from './io.ts';
import { parseS3Command, type S3Invocation, usage } from './pegasus-s3/arguments.ts';

process.exitCode = await main(process.argv.slice(2));
// Connections that a server keeps open must not hold up a process that is done.
process.exit();

/** The original says what went wrong on standard output. */
async function main(args: readonly string[]): Promise<number> {
  const io = processIo();
  let parsed: S3Invocation | string;
  try {
    parsed = parseS3Command(args);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    io.err(`${usage()}pegasus-s3: error: ${error.message}\n`);
    return EXIT.usage;
  }
  if (typeof parsed === 'string') {
    io.out(parsed);
    return EXIT.done;
  }
  try {
    const { runS3Command } = await import('./pegasus-s3/run.ts');
    return await runS3Command(parsed, io);
  } catch (error) {
    if (isReaderGone(error)) return EXIT.readerLeft;
    const known = toTransferError(error, 'unexpected error');
    io.out(`ERROR: ${known.message}\n${known.hint === undefined ? '' : `hint: ${known.hint}\n`}`);
    if (parsed.debug && error instanceof Error) io.err(`${error.stack}\n`);
    return EXIT.failed;
  }
}
