import fs from 'node:fs';
import { errnoOf } from '../errors.ts';
import { type ByteText, toPath } from './byte-text.ts';
import type { FileEntry, FileSource } from './record-file.ts';
import { errnoNumber } from './status-text.ts';

/** What is to be told of a file: where it is, and what the workflow calls it. */
export interface NamedFile {
  readonly lfn: ByteText | undefined;
  readonly path: ByteText;
}

/** The file as it is now. What cannot be looked at has its error instead. */
export function look(source: FileSource, lfn?: ByteText): FileEntry {
  try {
    const options = { bigint: true } as const;
    const stat =
      source.kind === 'file' ? fs.statSync(toPath(source.path), options) : fs.fstatSync(source.fd, options);
    return { source, lfn, stat };
  } catch (error) {
    return { source, lfn, errno: errnoNumber(errnoOf(error)) };
  }
}

export const lookAtFile = ({ lfn, path }: NamedFile): FileEntry => look({ kind: 'file', path }, lfn);
