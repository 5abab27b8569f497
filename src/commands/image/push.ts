import { homedir } from 'node:os';
import { join } from 'node:path';
import { TransferError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { formatReference } from '../../image/reference.ts';
import { pushImage } from '../../image/registry/push.ts';
import { formatSize } from '../../report/format.ts';
import { stateDirectory } from '../../state-directory.ts';
import { openReady, readyFile } from './open-file.ts';
import { parseFile, registryImage } from './order.ts';
import { showBytes } from './progress.ts';
import { pushSif, refuseMixed } from './push-sif.ts';
import type { Work } from './tools.ts';

/** `bridle image push FILE REF`. */
export async function push([file, name, more]: readonly string[], work: Work): Promise<void> {
  if (file === undefined || name === undefined || more !== undefined) {
    throw new TransferError(
      'invalid-request',
      'expected a file that holds an image, and the name that it is to get',
    );
  }
  const isArtifact = /^oras:\/\//i.test(name);
  const source = parseFile(file);
  const { path, isSif } = await readyFile(source, work);
  refuseMixed({ isSif, shown: source.path }, name, isArtifact);
  if (isArtifact) return pushSif(path, name, work);
  const { image } = await openReady(path, source, work);
  return pushOpened(image, name, work);
}

/** An image on this machine put under `name` in a registry, and told. */
export async function pushOpened(image: Image, name: string, work: Work): Promise<void> {
  const { values, io, signal } = work;
  const { reference, secret } = registryImage(name);
  const total = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const shown = showBytes('pushed', total, values.quiet, io);
  const resumed: string[] = [];
  const pushed = await pushImage(image, reference, work.tools(secret), {
    signal,
    notes: join(values.state ?? stateDirectory(io.env, homedir()), 'uploads'),
    onBytes: shown.onBytes,
    onResume: (blob, start) => resumed.push(`${blob} goes on behind ${formatSize(start)} of an earlier push`),
  }).finally(shown.end);
  if (!values.quiet) for (const line of resumed) io.err(`${line}\n`);
  const { digest, sent, mounted, skipped, bytes } = pushed;
  if (values.json) return io.out(`${JSON.stringify({ name: formatReference(reference), ...pushed })}\n`);
  const others = `${mounted === 0 ? '' : `, ${mounted} taken over`}${skipped === 0 ? '' : `, ${skipped} there already`}`;
  io.out(
    `${formatReference({ ...reference, digest })}\n  ${sent} blobs sent (${formatSize(bytes)})${others}\n`,
  );
}
