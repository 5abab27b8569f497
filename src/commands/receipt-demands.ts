import { type ReceiptFacts, readReceipts } from '../integrity/receipts.ts';
import { withoutMark } from '../report/url-text.ts';
import type { VerifyTask } from '../verify.ts';
import { parseArgument } from './arguments.ts';
import type { Visit } from './places.ts';
import { readBytes } from './read-bytes.ts';
import type { Finding } from './verify-demands.ts';

/**
 * What a receipts file asks for: every destination, as its last receipt has it, and each line that breaks the chain
 * (`wrong`) or is no receipt. Rejects when the file cannot be read.
 */
export async function readReceiptDemands(
  text: string,
  visit: Visit,
): Promise<{ readonly tasks: readonly VerifyTask[]; readonly findings: readonly Finding[] }> {
  const tasks = new Map<string, VerifyTask | Finding>();
  const findings: Finding[] = [];
  for (const { line, receipt, problem, isBroken } of readReceipts(
    await readBytes(parseArgument(text), visit),
  )) {
    const name = `${text}: line ${line}`;
    if (problem !== undefined) findings.push({ name, status: isBroken ? 'wrong' : 'unverifiable', problem });
    if (receipt) tasks.set(keyOf(receipt), taskOf(name, receipt));
  }
  const last = [...tasks.values()];
  return {
    tasks: last.filter((one) => 'place' in one),
    findings: [...findings, ...last.filter((one) => 'problem' in one)],
  };
}

/** A destination that was written again is what was written last, where its whole name is there to know it by. */
function keyOf({ destination, digests }: Pick<ReceiptFacts, 'destination' | 'digests'>): string {
  return withoutMark(destination) === undefined
    ? destination
    : `${destination} ${digests.map(({ value }) => value).join(' ')}`;
}

function taskOf(
  where: string,
  { destination, digests, size }: Pick<VerifyTask, 'digests' | 'size'> & { readonly destination: string },
): VerifyTask | Finding {
  if (digests.length === 0) {
    return { name: destination, status: 'unverifiable', problem: `${where} has no digest of it` };
  }
  try {
    const bare = withoutMark(destination);
    const place = parseArgument(bare ?? destination);
    return {
      name: destination,
      place,
      digests,
      size,
      ...(bare === undefined ? {} : { isNamedInPart: true }),
    };
  } catch {
    return { name: destination, status: 'unverifiable', problem: `${where}: it names no place` };
  }
}
