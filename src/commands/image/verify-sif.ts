import { TransferError } from '../../errors.ts';
import { readContents } from '../../image/sif/contents.ts';
import { readSif } from '../../image/sif/read.ts';
import { digestFile } from '../../integrity/digest-file.ts';
import { formatSize, plural, safeText } from '../../report/format.ts';
import { imageOf, type Read, type Work } from './tools.ts';

/** Names of the two images as they were given, without logins. */
export interface VerifyNames {
  readonly name: string;
  readonly other: string | undefined;
}

/**
 * `bridle image verify` of a SIF file of this machine: its parts are where they have to be, and all of it can be read. A
 * second SIF file must be the same to the byte; an image of another kind must have the configuration that is in the file.
 */
export async function verifySifFile(
  path: string,
  other: Read | undefined,
  { name, other: otherName }: VerifyNames,
  { values, io, signal }: Work,
): Promise<void> {
  const sif = await readSif(path);
  const { config, signatures } = await readContents(path, sif);
  const { sha256, bytes } = await sha256Of(path, signal);
  if (other) {
    const ours = other.kind === 'sif' ? sha256 : config?.digest;
    const theirs =
      other.kind === 'sif'
        ? (await sha256Of(other.path, signal)).sha256
        : imageOf(other).config.descriptor.digest;
    if (ours === undefined) {
      throw new TransferError(
        'unsupported',
        `\`${name}\`: the SIF file does not say what it was made of, and cannot be compared with \`${otherName}\``,
      );
    }
    if (ours !== theirs) {
      throw new TransferError(
        'digest-mismatch',
        `\`${name}\`: it is \`${ours}\`, \`${otherName}\` is \`${theirs}\``,
      );
    }
  }
  const told = { name, content: sha256, bytes, objects: sif.objects.length, imageId: config?.digest };
  if (values.json)
    return io.out(`${JSON.stringify({ ...told, signatures: { count: signatures, checked: false } })}\n`);
  if (values.quiet) return;
  const same = otherName === undefined ? '' : sameness(other, otherName);
  const signed = signatures === 0 ? '' : `, ${plural(signatures, 'signature')} not checked`;
  io.out(
    `${safeText(name)}: ${sha256}, ${plural(told.objects, 'object')}, ${formatSize(bytes)}: whole${same}${signed}\n`,
  );
}

function sameness(other: Read | undefined, name: string): string {
  return other?.kind === 'sif'
    ? `, the same as ${safeText(name)}`
    : `, made of the same image as ${safeText(name)}`;
}

async function sha256Of(path: string, signal: AbortSignal) {
  const { size, digests } = await digestFile({ path, algorithms: ['sha256'] }, signal);
  return { sha256: `sha256:${digests[0]?.value ?? ''}`, bytes: size };
}
