import { closeSync, openSync, realpathSync, statSync, writeSync } from 'node:fs';
import { TransferError, toTransferError } from '../errors.ts';
import { attempt, BATCH, openPartialFile, type PartialFile } from './partial-file.ts';

export type ReportFile = Pick<PartialFile, 'append' | 'publish'>;

/** Names of what is open already, whatever stands behind them. */
const OPEN_ALREADY = /^\/(?:dev\/(?:stdout$|stderr$|fd\/)|proc\/)/;

/**
 * Opens what a report is to be written to: a file, which is replaced when the report is whole, also through links, or a
 * device or FIFO, which is written to as it is. Throws a `TransferError` when that cannot be done.
 */
export function openReportFile(path: string): ReportFile {
  const doing = `writing \`${path}\``;
  const stat = attempt(doing, () => statSync(path, { throwIfNoEntry: false }));
  if (stat?.isDirectory()) throw new TransferError('invalid-request', `${doing}: is a directory`);
  if (OPEN_ALREADY.test(path) || (stat && !stat.isFile())) return openInPlace(path, doing);
  return openPartialFile(stat ? realpathSync(path) : path);
}

/** A rename would put a file in the place of `/dev/null`, for all the machine. */
function openInPlace(path: string, doing: string): ReportFile {
  const descriptor = attempt(doing, () => openSync(path, 'a'));
  let pending = '';
  let failure: unknown;

  function flush(): void {
    const bytes = Buffer.from(pending);
    pending = '';
    try {
      for (let at = 0; failure === undefined && at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    } catch (error) {
      failure = error;
    }
  }

  return {
    append(text) {
      pending += text;
      if (pending.length >= BATCH) flush();
    },
    publish() {
      flush();
      closeSync(descriptor);
      if (failure !== undefined) throw toTransferError(failure, doing);
    },
  };
}
