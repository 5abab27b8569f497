import { TransferError, toTransferError } from '../errors.ts';
import { EXIT, isReaderGone } from './failures.ts';
import { processIo } from './io.ts';
import { type ExitcodeOrder, helpText, readOrder, USAGE } from './pegasus-exitcode/order.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const io = processIo();
  let order: ExitcodeOrder | undefined;
  try {
    order = readOrder(args, io.env);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    io.err(`${USAGE}\npegasus-exitcode: error: ${error.message}\n`);
    return EXIT.usage;
  }
  try {
    if (order === undefined) {
      io.out(helpText());
      return EXIT.done;
    }
    const { perform } = await import('./pegasus-exitcode/perform.ts');
    return await perform(order, io);
  } catch (error) {
    if (isReaderGone(error)) return EXIT.readerLeft;
    io.err(`pegasus-exitcode: ${toTransferError(error, 'unexpected error').message}\n`);
    return EXIT.failed;
  }
}
