import { TransferError } from '../../errors.ts';
import type { FileDigests } from '../../integrity/digest-file.ts';
import { digestFiles } from '../../integrity/digest-pool.ts';
import { createMetaCatalog } from '../../integrity/meta.ts';
import { isSlow } from '../../local/slow.ts';
import type { Digest } from '../../protocol.ts';
import { EXIT } from '../failures.ts';
import type { Io } from '../io.ts';
import { type IntegrityOrder, type Named, readNames } from './order.ts';
import { listOf, whyNot } from './perform.ts';
import { type CheckRecord, openCheckRecord } from './record.ts';
import type { IntegrityLog } from './voice.ts';

interface Check extends Named {
  readonly expected: Digest | undefined;
}

/** Checks every file of the list against the `*.meta` files here, whatever the others came to. */
export async function verify(order: IntegrityOrder, io: Io, log: IntegrityLog): Promise<number> {
  const list = await listOf(order, io);
  const record = order.printTimings ? openCheckRecord(io.env.PEGASUS_MULTIPART_DIR, log) : undefined;
  const lookUp = createMetaCatalog('.', (message) => log(message));
  const checks: Check[] = [];
  for (const named of readNames(list)) {
    checks.push({ ...named, expected: await lookUp(named.lfn || named.pfn) });
  }
  const isGood = await checkAll(checks, record, log);
  record?.close();
  return isGood ? EXIT.done : EXIT.failed;
}

async function checkAll(
  checks: readonly Check[],
  record: CheckRecord | undefined,
  log: IntegrityLog,
): Promise<boolean> {
  const digested = digestFiles(
    checks.flatMap(({ pfn, expected }) => (expected ? { path: pfn, algorithms: [expected.algorithm] } : [])),
    { isSlow },
  );
  let isGood = true;
  for (const check of checks) {
    if (check.expected === undefined) {
      log(`No checksum in the meta data for ${check.lfn || check.pfn}`);
      isGood = false;
      continue;
    }
    const next = await digested.next();
    if (next.done) throw new TransferError('unexpected', `read \`${check.pfn}\`: nobody did`);
    if (!checkOne(check, check.expected, next.value.result, { record, log })) isGood = false;
  }
  return isGood;
}

function checkOne(
  { lfn, pfn }: Check,
  expected: Digest,
  result: FileDigests | TransferError,
  { record, log }: { readonly record: CheckRecord | undefined; readonly log: IntegrityLog },
): boolean {
  const isMade = !(result instanceof TransferError);
  if (!isMade) log(whyNot(pfn, result));
  const found = isMade ? result.digests[0]?.value : undefined;
  const seconds = isMade ? result.seconds : 0;
  record?.check({ lfn: lfn || pfn, pfn, found, expected: expected.value, seconds });
  if (found === expected.value) return true;
  log(
    `${pfn}: Expected checksum (${expected.value}) does not match the calculated checksum (${found ?? 'None'}) (timing: ${seconds.toFixed(3)})`,
  );
  return false;
}
