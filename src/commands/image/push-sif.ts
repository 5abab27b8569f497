import { resolve } from 'node:path';
import { TransferError } from '../../errors.ts';
import { formatReference, parseReference } from '../../image/reference.ts';
import { pushImage } from '../../image/registry/push.ts';
import { sifArtifact } from '../../image/sif/artifact.ts';
import { parseUrl } from '../../location.ts';
import { formatSize, safeText } from '../../report/format.ts';
import { ofContent } from '../failures.ts';
import type { ReadyFile } from './open-file.ts';
import { showBytes } from './progress.ts';
import type { Work } from './tools.ts';

/** Throws `invalid-request` for a SIF file that is to become an image of layers, and for anything else that is to be kept as a SIF file. */
export function refuseMixed(
  { isSif, shown }: Pick<ReadyFile, 'isSif'> & { readonly shown: string },
  name: string,
  isArtifact: boolean,
): void {
  if (isSif === undefined || isSif === isArtifact) return;
  throw isSif
    ? new TransferError('invalid-request', `\`${shown}\` is a SIF file, and has no layers to push`, {
        hint: `as one file a registry keeps it under \`oras://${name.replace(/^(?:docker|oci):\/+/i, '')}\``,
      })
    : new TransferError(
        'invalid-request',
        `\`${shown}\` is no SIF file: \`oras://\` names keep those alone`,
        {
          hint: `an image is pushed to \`docker://${name.replace(/^oras:\/+/i, '')}\`, or made a SIF file by \`bridle image convert\``,
        },
      );
}

/** `bridle image push FILE.sif oras://REF`: the file as one blob, as apptainer keeps it. */
export async function pushSif(file: string, name: string, work: Work): Promise<void> {
  const { values, io, signal } = work;
  const { location, secret } = parseUrl(name);
  const reference = parseReference(location.authority + location.path);
  const image = await ofContent(() => sifArtifact(resolve(file), reference, signal));
  const size = image.layers[0]?.descriptor.size ?? 0;
  const shown = showBytes('pushed', size, values.quiet, io);
  const pushed = await pushImage(image, reference, work.tools(secret), {
    signal,
    onBytes: shown.onBytes,
  }).finally(shown.end);
  const { digest, skipped, bytes } = pushed;
  const complete = `oras://${formatReference(reference)}`;
  const content = image.layers[0]?.descriptor.digest;
  if (values.json) return io.out(`${JSON.stringify({ name: complete, ...pushed, content })}\n`);
  const sent = skipped === 2 ? 'the file was there already' : `${formatSize(bytes)} sent`;
  io.out(`oras://${safeText(formatReference({ ...reference, digest }))}\n  ${content}, ${sent}\n`);
}
