import { join } from 'node:path';
import { toTransferError } from '../../errors.ts';
import { openPartialFile, type PartialFile } from '../../report/partial-file.ts';
import { yamlString } from '../../report/yaml.ts';
import type { IntegrityLog } from './voice.ts';

export interface CheckedFile {
  readonly lfn: string;
  readonly pfn: string;
  /** Lower-case hexadecimal; undefined when the file could not be read. */
  readonly found: string | undefined;
  readonly expected: string;
  readonly seconds: number;
}

/** What monitoring reads of a verification. */
export interface CheckRecord {
  check(file: CheckedFile): void;
  /** Publishes the record, with its totals. */
  close(): void;
}

/**
 * `<epoch seconds>-integrity` in `$PEGASUS_MULTIPART_DIR`: an entry a checked file, then the totals. Collected under a
 * hidden name and published under the next second whose name is free. Undefined without a directory.
 */
export function openCheckRecord(directory: string | undefined, log: IntegrityLog): CheckRecord | undefined {
  if (!directory) return undefined;
  let file: PartialFile | undefined;
  let isBroken = false;
  const counts = { succeeded: 0, failed: 0, seconds: 0 };
  const guarded = (work: (file: PartialFile) => void): void => {
    if (isBroken) return;
    try {
      if (!file) {
        file = openPartialFile(join(directory, 'integrity'));
        file.append('- integrity_verification_attempts:\n');
      }
      work(file);
    } catch (error) {
      isBroken = true;
      log(
        `Unable to write stats to $PEGASUS_MULTIPART_DIR: ${toTransferError(error, `\`${directory}\``).message}`,
      );
    }
  };
  return {
    check(checked) {
      const isGood = checked.found === checked.expected;
      counts[isGood ? 'succeeded' : 'failed'] += 1;
      counts.seconds += checked.seconds;
      guarded((into) => into.append(entry(checked, isGood)));
    },
    close() {
      guarded((into) => {
        into.append(
          '- integrity_summary:\n' +
            `    succeeded: ${counts.succeeded}\n` +
            `    failed: ${counts.failed}\n` +
            `    duration: ${counts.seconds.toFixed(3)}\n`,
        );
        const second = Math.floor(Date.now() / 1000);
        into.publishAsNew((count) => join(directory, `${second + count}-integrity`));
      });
    },
  };
}

function entry({ lfn, pfn, found, expected }: CheckedFile, isGood: boolean): string {
  return (
    `  - lfn: ${yamlString(lfn)}\n` +
    `    pfn: ${yamlString(pfn)}\n` +
    `    sha256: ${found ?? 'None'}\n` +
    `    success: ${isGood ? 'True' : 'False'}\n` +
    (isGood ? '' : `    sha256_expected: ${expected}\n`)
  );
}
