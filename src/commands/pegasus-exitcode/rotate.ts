import { existsSync, renameSync } from 'node:fs';
import { TransferError, toTransferError } from '../../errors.ts';

/** Where the output of a job is read from. */
export interface OutputFiles {
  readonly out: string;
  readonly err: string;
  /** The number behind their names; undefined for files that were not renamed. */
  readonly count?: number;
}

const OUT = '.out';
/** The numbers have three digits. */
const MOST = 1000;

/** The files of the job whose output is `outFile`, `NAME.out`. */
export function outputFiles(outFile: string): OutputFiles {
  return { out: outFile, err: `${stemOf(outFile)}.err` };
}

/** `NAME` of `NAME.out`. */
export function stemOf(outFile: string): string {
  return outFile.slice(0, -OUT.length);
}

/**
 * Renames `NAME.out`, and `NAME.err` where there is one, to the first number that neither has (`NAME.out.000`): a retry
 * of the job writes its own. Throws when it cannot.
 */
export function rotate({ out, err }: OutputFiles): OutputFiles {
  for (let count = 0; count < MOST; count += 1) {
    const digits = String(count).padStart(3, '0');
    const aside = { out: `${out}.${digits}`, err: `${err}.${digits}`, count };
    if (existsSync(aside.out)) continue;
    rename(out, aside.out);
    if (existsSync(err)) rename(err, aside.err);
    return aside;
  }
  throw new TransferError('unexpected', `${out} has been renamed too many times!`);
}

function rename(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    throw toTransferError(error, `rename \`${from}\``);
  }
}
