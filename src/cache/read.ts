import fs from 'node:fs';
import { dirname } from 'node:path';
import { TransferError } from '../errors.ts';
import { diskKind, readAt } from '../local/disk.ts';
import type { Bytes, ReadCall, Source } from '../protocol.ts';
import { changedWhileRead } from '../regular-file.ts';
import { SLAB_BYTES, takeSlabFor } from '../slabs.ts';
import type { Content } from './content.ts';

/**
 * Content as a source. It is read through its descriptor, which stays whatever the cache does, and links made to it
 * meanwhile, which change its `ctime`, are no change.
 */
export function readContent(content: Content, { range, signal }: ReadCall): Source {
  const doing = `read \`${content.path}\``;
  const { fd, size } = content;
  const end = Math.min(range?.end ?? size, size);
  const marks = () => {
    const { mtimeNs, size: bytes } = fs.fstatSync(fd, { bigint: true });
    return `${mtimeNs}-${bytes}`;
  };
  const before = marks();
  return {
    type: 'file',
    size,
    version: `${content.digest.algorithm}:${content.digest.value}`,
    bytes: bytesOf(range?.start ?? 0),
    confirm: async () => {
      if (marks() !== before) throw changedWhileRead(doing);
    },
  };

  async function* bytesOf(start: number): Bytes {
    const kind = diskKind(dirname(content.path));
    for (let at = start; at < end; ) {
      if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
      const into = takeSlabFor(end - start).subarray(0, Math.min(end - at, SLAB_BYTES));
      const got = await readAt(fd, into, at, kind);
      if (got === 0) throw changedWhileRead(doing);
      yield into.subarray(0, got);
      at += got;
    }
  }
}
