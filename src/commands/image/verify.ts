import { TransferError } from '../../errors.ts';
import { prove } from '../../image/layers/prove.ts';
import { formatPlatform } from '../../image/platform.ts';
import { formatSize, plural, safeText } from '../../report/format.ts';
import { ofContent } from '../failures.ts';
import { parseImage } from './order.ts';
import { showBytes } from './progress.ts';
import { concernsSif, verifySif } from './sif-actions.ts';
import { imageOf, type Read, readImage, shownName, type Work } from './tools.ts';
import { verifySifFile } from './verify-sif.ts';

/** `bridle image verify FILE|REF [REF]`: reads every layer, and compares with a second image when one is named. */
export async function verify([name, other, more]: readonly string[], work: Work): Promise<void> {
  const { values, io, signal } = work;
  if (name === undefined || more !== undefined) {
    throw new TransferError(
      'invalid-request',
      'expected an image, and perhaps another one that it must be the same as',
    );
  }
  if (concernsSif(name, other)) return verifySif(name, other, work);
  const [named, namedOther] = [parseImage(name), other === undefined ? undefined : parseImage(other)];
  const names = {
    name: shownName(named, name),
    other: namedOther && other !== undefined ? shownName(namedOther, other) : undefined,
  };
  const read = await readImage(named, work);
  if (read.kind === 'sif') {
    const expected = namedOther && (await readImage(namedOther, work));
    return ofContent(() => verifySifFile(read.path, expected, names, work));
  }
  const image = imageOf(read);
  if (namedOther && names.other !== undefined) {
    const expected = await readImage(namedOther, { ...work, platform: work.platform ?? image.platform });
    refuseOther(names.name, names.other, read, imageOf(expected));
  }
  const bytes = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const shown = showBytes('read', bytes, values.quiet, io);
  try {
    for (const layer of image.layers) {
      await ofContent(() => prove(layer, signal));
      shown.onBytes(layer.descriptor.size);
    }
  } finally {
    shown.end();
  }
  const { digest } = image.manifest.descriptor;
  const told = {
    name: names.name,
    manifest: digest,
    config: image.config.descriptor.digest,
    layers: image.layers.length,
    bytes,
  };
  if (values.json)
    return io.out(`${JSON.stringify({ ...told, platform: formatPlatform(image.platform) })}\n`);
  if (values.quiet) return;
  const what = `${plural(told.layers, 'layer')}, ${formatSize(bytes)}`;
  const same = names.other === undefined ? '' : `, the same as ${safeText(names.other)}`;
  io.out(`${safeText(names.name)}: ${digest}, ${what}: every digest is right${same}\n`);
}

/** The manifest decides; an archive without one is told by its configuration, which names the content of every layer. */
function refuseOther(name: string, other: string, read: Read, expected: ReturnType<typeof imageOf>): void {
  const image = imageOf(read);
  const hasManifest = read.kind !== 'file' || read.opened.digest !== undefined;
  const side = hasManifest ? 'manifest' : 'config';
  const [ours, theirs] = [image[side].descriptor.digest, expected[side].descriptor.digest];
  if (ours === theirs) return;
  throw new TransferError('digest-mismatch', `\`${name}\`: it is \`${ours}\`, \`${other}\` is \`${theirs}\``);
}
