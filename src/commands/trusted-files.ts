import type { ChecksumResult, ChecksumTask } from '../checksum.ts';
import { TransferError } from '../errors.ts';
import { openTrusted, type Trusted } from '../integrity/trusted.ts';
import { isSlow } from '../local/slow.ts';
import { safeText } from '../report/format.ts';
import type { Io } from './io.ts';

/** What `--trust-unchanged` names; undefined when it names nothing. Throws `invalid-request` for what is not to be trusted. */
export function readTrusted(paths: readonly string[], { read = false } = {}): Trusted | undefined {
  if (paths.length === 0) return undefined;
  if (read) {
    throw new TransferError('invalid-request', '--trust-unchanged: `--read` asks for the opposite');
  }
  return openTrusted(paths, { isSlow });
}

/** Tells at the end how many digests were not made now: most formats have no room for it. */
export function noteReuse(values: { readonly debug: boolean }, io: Io) {
  let made = 0;
  let reused = 0;
  return {
    made({ name }: ChecksumTask, result: ChecksumResult): void {
      if (result.reused === undefined) {
        made += 1;
        return;
      }
      reused += 1;
      if (values.debug) io.err(`${safeText(`${name}: reused, ${result.reused}`)}\n`);
    },
    end(): void {
      if (reused === 0) return;
      const [ours, theirs] = [made.toLocaleString('en'), reused.toLocaleString('en')];
      io.err(`bridle checksum: digests of ${theirs} unchanged files reused, of ${ours} made now\n`);
    },
  };
}
