import { TransferError } from '../../errors.ts';
import { formatSize, plural, safeText } from '../../report/format.ts';
import { openCacheOf } from '../open-cache.ts';
import type { Work } from './tools.ts';

/** `bridle image prune`: keeps the cache to its bounds now, whatever is in it. */
export async function prune([more]: readonly string[], { values, io }: Work): Promise<void> {
  if (more !== undefined) {
    throw new TransferError('invalid-request', `expected options alone, got \`${more}\``);
  }
  const cache = await openCacheOf(values);
  if (!cache) throw new TransferError('invalid-request', '--cache: expected a directory, got none');
  const { files, bytes } = cache.prune();
  if (values.json) return io.out(`${JSON.stringify({ cache: cache.directory, files, bytes })}\n`);
  io.out(`${safeText(cache.directory)}: ${plural(files, 'file')} removed, ${formatSize(bytes)}\n`);
}
