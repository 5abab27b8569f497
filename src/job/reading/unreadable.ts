import { TransferError } from '../../errors.ts';

/** `invalid-request` for the record that begins in this line, counted from 1. */
export function errorFor(line: number, problem: string): TransferError {
  return new TransferError('invalid-request', `the invocation record in line ${line}: ${problem}`);
}
