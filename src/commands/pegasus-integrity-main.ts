import { TransferError, toTransferError } from '../errors.ts';
import { EXIT, isReaderGone } from './failures.ts';
import { processIo } from './io.ts';
import { type IntegrityOrder, readOrder } from './pegasus-integrity/order.ts';

process.exitCode = await main(process.argv.slice(2));
// Threads that still wait for work must not hold up a process that is done.
process.exit();

/** The original says everything on standard output. */
async function main(args: readonly string[]): Promise<number> {
  const { out, ...io } = processIo();
  let order: IntegrityOrder;
  try {
    order = readOrder(args, io.env);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    out(`Usage: pegasus-integrity [options]\n\npegasus-integrity: error: ${error.message}\n`);
    return EXIT.usage;
  }
  try {
    const { perform } = await import('./pegasus-integrity/perform.ts');
    return await perform(order, { ...io, out });
  } catch (error) {
    if (isReaderGone(error)) return EXIT.readerLeft;
    out(`Integrity check: ${toTransferError(error, 'unexpected error').message}\n`);
    if (order.debug && error instanceof Error) io.err(`${error.stack}\n`);
    return EXIT.failed;
  }
}
