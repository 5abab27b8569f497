import { type BigIntStats, existsSync, statSync } from 'node:fs';
import { TransferError, toTransferError } from '../../errors.ts';
import { type FileDigests, identityOf, isSame } from '../../integrity/digest-file.ts';
import { digestFiles } from '../../integrity/digest-pool.ts';
import { isSlow } from '../../local/slow.ts';
import { changedWhileRead } from '../../regular-file.ts';
import { readAccounts } from '../../report/accounts.ts';
import { appendIntegrityBlock, integrityBlock } from '../../report/integrity-data.ts';
import { EXIT } from '../failures.ts';
import type { Io } from '../io.ts';
import { helpText, type IntegrityOrder, type Named, readNames } from './order.ts';
import { type IntegrityLog, integrityLog } from './voice.ts';

/** Does what was asked. Resolves with the exit status. */
export async function perform(order: IntegrityOrder, io: Io): Promise<number> {
  const log = integrityLog(io.out, order.debug);
  switch (order.action) {
    case 'help':
      io.out(helpText());
      return EXIT.done;
    case 'mistaken':
      log('One, and only one, of --generate-* and --verify needs to be specified');
      io.out(helpText());
      return EXIT.failed;
    case 'nothing':
      return EXIT.done;
    case 'verify': {
      if (order.files === '') return EXIT.done;
      const { verify } = await import('./verify.ts');
      return await verify(order, io, log);
    }
    default:
      return order.files === '' ? EXIT.done : await generate(order, io, log);
  }
}

/** Stops at the first file that cannot be read; what was made before it stands. */
async function generate(order: IntegrityOrder, io: Io, log: IntegrityLog): Promise<number> {
  const list = await listOf(order, io);
  const named: readonly Named[] =
    order.action === 'generate' ? list.split(';;;').map((pfn) => ({ lfn: undefined, pfn })) : readNames(list);
  const tell = teller(order.action, io);
  let at = 0;
  const jobs = named.map(({ pfn }) => ({ path: pfn, algorithms: ['sha256'] as const }));
  for await (const { result } of digestFiles(jobs, { isSlow })) {
    const one = named[at] as Named;
    at += 1;
    if (result instanceof TransferError) {
      log(whyNot(one.pfn, result));
      return EXIT.failed;
    }
    tell(one, result);
  }
  return EXIT.done;
}

/** The list itself, or what standard input holds: an argument has room for 128 KiB only. */
export async function listOf(order: IntegrityOrder, io: Io): Promise<string> {
  // The original knows this of --verify alone: elsewhere a file of that name is meant before.
  if (order.files !== 'stdin' || (order.action !== 'verify' && existsSync('stdin'))) return order.files;
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of io.input()) chunks.push(chunk);
  } catch (error) {
    throw toTransferError(error, 'read standard input');
  }
  return Buffer.concat(chunks).toString('utf8').trim();
}

/** Why a file has no digest, in the original's words where it has any. */
export function whyNot(pfn: string, error: TransferError): string {
  return error.code === 'not-found'
    ? `File ${pfn} does not exist`
    : `Unable to determine sha256: ${error.message}`;
}

function teller(action: IntegrityOrder['action'], io: Io): (named: Named, made: FileDigests) => void {
  const sha256 = ({ digests }: FileDigests) => digests[0]?.value ?? '';
  if (action === 'generate') return ({ pfn }, made) => io.out(`${sha256(made)}  ${pfn}\n`);
  if (action === 'generate-yaml') {
    return (_, made) =>
      io.out(`      sha256: ${sha256(made)}\n      checksum_timing: ${made.seconds.toFixed(3)}\n\n`);
  }
  const accounts = readAccounts();
  const file = io.env.KICKSTART_INTEGRITY_DATA;
  return ({ lfn, pfn }, made) => {
    const entry = {
      lfn: lfn ?? 'None',
      path: pfn,
      stat: lookAgain(pfn, made),
      sha256: sha256(made),
      seconds: made.seconds,
    };
    const block = integrityBlock(entry, accounts);
    if (file) appendIntegrityBlock(file, block);
    else io.out(`${block}\n`);
  };
}

/** Of the very content that was hashed. */
function lookAgain(pfn: string, { identity }: FileDigests): BigIntStats {
  const doing = `stat \`${pfn}\``;
  try {
    const stat = statSync(pfn, { bigint: true });
    if (!isSame(identityOf(stat), identity)) throw changedWhileRead(doing);
    return stat;
  } catch (error) {
    throw toTransferError(error, doing);
  }
}
