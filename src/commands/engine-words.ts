import { TransferError, toTransferError } from '../errors.ts';
import { fromText, readable } from '../job/byte-text.ts';
import { splitCommand } from '../job/words.ts';

/** The words of an option that are handed on to an engine, split as a shell would. Throws `invalid-request`. */
export function engineWords(option: string, words: string): string[] {
  try {
    return splitCommand(fromText(words), () => undefined).map((word) => readable(word));
  } catch (error) {
    const { message, hint } = toTransferError(error, 'reading words');
    throw new TransferError(
      'invalid-request',
      `--${option}: \`${words}\`: ${message}`,
      hint === undefined ? {} : { hint },
    );
  }
}
