import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeContent } from '../fixtures/misbehaving/content.ts';

export interface MadeFile {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

/** Writes a file of bytes that do not compress. */
export async function makeFile(directory: string, name: string, size: number, seed = 1): Promise<MadeFile> {
  const content = makeContent(size, seed);
  const file = await open(join(directory, name), 'w');
  for (const block of content.blocks()) await file.write(block);
  await file.close();
  return { name, size, sha256: content.digest('sha256') };
}

/** Files of one size, each with content of its own. */
export async function makeFiles(directory: string, count: number, size: number): Promise<MadeFile[]> {
  const made: MadeFile[] = [];
  for (let index = 0; index < count; index += 1) {
    made.push(await makeFile(directory, `file-${String(index).padStart(6, '0')}.bin`, size, index + 1));
  }
  return made;
}

export interface Listed {
  readonly from: string;
  readonly to: string;
  /** Checked when given. */
  readonly sha256?: string;
  readonly generateChecksum?: boolean;
}

/** One entry of a transfer list. */
export function listEntry({ from, to, sha256, generateChecksum }: Listed): object {
  return {
    type: 'transfer',
    lfn: to.slice(to.lastIndexOf('/') + 1),
    linkage: 'input',
    ...(generateChecksum ? { generate_checksum: true } : {}),
    ...(sha256 === undefined ? {} : { checksum: { sha256 } }),
    src_urls: [{ site_label: 'here', url: from }],
    dest_urls: [{ site_label: 'local', url: to }],
  };
}

/** Writes a transfer list and gives its path. */
export async function writeList(path: string, entries: readonly Listed[]): Promise<string> {
  await writeFile(path, JSON.stringify(entries.map(listEntry)));
  return path;
}
