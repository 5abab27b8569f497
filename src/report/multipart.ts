import { join } from 'node:path';
import { toTransferError } from '../errors.ts';
import { formatLocation, siteKey } from '../location.ts';
import type { Attempt } from '../outcome.ts';
import type { Clock, Consumer, Write } from './consumer.ts';
import { legacyBytes } from './legacy-stats.ts';
import { openPartialFile, type PartialFile } from './partial-file.ts';
import { pythonFixed } from './python-format.ts';
import { yamlString } from './yaml.ts';

export interface MultipartOptions {
  /** `$PEGASUS_MULTIPART_DIR`. */
  readonly directory: string;
  readonly now: Clock;
  /** Takes one line without newline when the file cannot be written. The run goes on. */
  readonly error: Write;
}

/**
 * `<epoch seconds>-transfer` in the directory, one entry an attempt, in the order in which items ended. Collected under
 * a hidden name and published on closing, under the next second whose name is free. No attempts, no file.
 */
export function multipartRecord({ directory, now, error }: MultipartOptions): Consumer {
  let file: PartialFile | undefined;
  let isBroken = false;

  function guarded(work: () => void): void {
    if (isBroken) return;
    try {
      work();
    } catch (thrown) {
      isBroken = true;
      error(toTransferError(thrown, `writing the transfer record in \`${directory}\``).message);
    }
  }

  function open(): PartialFile {
    const opened = openPartialFile(join(directory, 'transfer'));
    opened.append('- transfer_attempts:\n');
    return opened;
  }

  return {
    event(event) {
      if (event.type !== 'item-ended' || event.outcome.kind !== 'transfer') return;
      const { attempts, lfn } = event.outcome;
      if (attempts.length === 0) return;
      guarded(() => {
        file ??= open();
        for (const attempt of attempts) file.append(entry(attempt, lfn));
      });
    },
    close() {
      guarded(() => {
        const second = Math.floor(now() / 1000);
        file?.publishAsNew((count) => join(directory, `${second + count}-transfer`));
      });
    },
  };
}

function entry(attempt: Attempt, lfn: string): string {
  const bytes = legacyBytes(attempt);
  return (
    `  - src_url: ${yamlString(formatLocation(attempt.source))}\n` +
    `    src_label: ${yamlString(siteKey(attempt.source.site))}\n` +
    `    dst_url: ${yamlString(formatLocation(attempt.destination))}\n` +
    `    dst_label: ${yamlString(siteKey(attempt.destination.site))}\n` +
    `    success: ${attempt.failure === undefined ? 'True' : 'False'}\n` +
    `    start: ${pythonFixed(attempt.started / 1000, 0)}\n` +
    `    duration: ${pythonFixed(attempt.seconds, 1)}\n` +
    (lfn === '' ? '' : `    lfn: ${yamlString(lfn)}\n`) +
    (bytes > 0 ? `    bytes: ${bytes}\n` : '')
  );
}
