import { TransferError } from '../../errors.ts';
import { digestFile } from '../../integrity/digest-file.ts';
import { localLocation } from '../../location.ts';
import { lastName } from '../arguments.ts';
import { openListed } from '../image/moved.ts';
import { warnOnce } from '../warn-once.ts';
import type { ContainerChoice } from './container.ts';

/**
 * The image file of this machine has the size and the digests that lists of checksums have under its name or path; one
 * that they do not name is not read. Rejects with `size-mismatch` or `digest-mismatch`, and as reading does.
 */
export async function proveImage(
  { image, form }: Pick<ContainerChoice, 'image' | 'form'>,
  {
    files,
    signal,
    say,
  }: {
    readonly files: readonly string[];
    readonly signal: AbortSignal;
    readonly say: (line: string) => void;
  },
): Promise<void> {
  if (form !== 'archive' && form !== 'sif') return;
  const catalogs = await openListed(files, warnOnce(say));
  const location = localLocation(image);
  const listed = catalogs?.find(lastName(location), location);
  catalogs?.close();
  if (!listed) return;
  const doing = `run \`${image}\``;
  const algorithms = listed.expected.map(({ algorithm }) => algorithm);
  const { size, digests } = await digestFile({ path: image, algorithms }, signal);
  if (listed.size !== undefined && listed.size !== size) {
    throw new TransferError(
      'size-mismatch',
      `${doing}: ${listed.where} says ${listed.size} bytes, the file has ${size}`,
    );
  }
  for (const { algorithm, value } of listed.expected) {
    const found = digests.find((one) => one.algorithm === algorithm)?.value;
    if (found === value) continue;
    throw new TransferError(
      'digest-mismatch',
      `${doing}: ${listed.where} says ${algorithm} ${value}, the bytes have ${found}`,
    );
  }
}
