import fs from 'node:fs';
import { dirname } from 'node:path';
import { chunksOf } from '../local/chunks.ts';
import { diskKind } from '../local/disk.ts';
import type { Bytes, ReadCall, Source } from '../protocol.ts';
import { changedWhileRead } from '../regular-file.ts';
import type { Obtained } from './cache.ts';
import type { Content } from './content.ts';

/**
 * Content as a source. It is read through its descriptor, which stays whatever the cache does, and links made to it
 * meanwhile, which change its `ctime`, are no change.
 */
export function readContent(content: Content, { range, signal }: ReadCall): Source {
  const doing = `read \`${content.path}\``;
  const { fd, size } = content;
  const end = Math.min(range?.end ?? size, size);
  const kind = diskKind(dirname(content.path));
  const marks = () => {
    const { mtimeNs, size: bytes } = fs.fstatSync(fd, { bigint: true });
    return `${mtimeNs}-${bytes}`;
  };
  const before = marks();
  return {
    type: 'file',
    size,
    version: `${content.digest.algorithm}:${content.digest.value}`,
    bytes: chunksOf({ fd, kind, doing }, { start: range?.start ?? 0, end }, signal),
    confirm: async () => {
      if (marks() !== before) throw changedWhileRead(doing);
    },
  };
}

/** The bytes of content from `range.start` on, which is closed with the last of them, or by `discard` before. */
export function readAndClose(
  obtained: Obtained,
  call: ReadCall,
): { readonly bytes: Bytes; discard(): Promise<void> } {
  let isOpen = true;
  const close = () => {
    if (isOpen) obtained.close();
    isOpen = false;
  };
  return { bytes: closing(readContent(obtained, call).bytes, close), discard: async () => close() };
}

async function* closing(bytes: Bytes, close: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } finally {
    close();
  }
}
