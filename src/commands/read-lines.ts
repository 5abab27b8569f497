import { createReadStream } from 'node:fs';
import { TransferError, toTransferError } from '../errors.ts';
import type { Io } from './io.ts';

const LONGEST = 1024 * 1024;

/** The non-empty pieces of a file, `-` for standard input, between separators. Rejects for what is no UTF-8. */
export async function* readLines(path: string, separator: '\n' | '\0', io: Io): AsyncGenerator<string> {
  const doing = `read names from \`${path}\``;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  try {
    for await (const chunk of path === '-' ? io.input() : createReadStream(path)) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
      const pieces = rest.split(separator);
      rest = pieces.pop() ?? '';
      if (rest.length > LONGEST) throw new TransferError('invalid-request', `${doing}: a name without end`);
      for (const piece of pieces) if (piece !== '') yield piece;
    }
    rest += decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) {
      throw new TransferError('invalid-request', `${doing}: expected UTF-8, got other bytes`, {
        cause: error,
      });
    }
    throw toTransferError(error, doing);
  }
  if (rest !== '') yield rest;
}
