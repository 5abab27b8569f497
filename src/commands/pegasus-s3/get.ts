import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { TransferError } from '../../errors.ts';
import { localLocation } from '../../location.ts';
import type { S3Work } from './run.ts';
import { lastPart, requireBucket } from './session.ts';

/** `get URL [FILE]`: to a file of the key's last name where none, or a directory, is given. */
export async function getFile({ invocation, session, signal }: S3Work): Promise<void> {
  const [url = '', file] = invocation.positionals;
  const target = await session.target(url);
  requireBucket(target);
  const name = lastPart(target.key);
  if (name === '' || target.key.endsWith('/') || name === '.' || name === '..') {
    throw new TransferError('invalid-request', `\`${url}\`: expected the key of a file behind the bucket`);
  }
  const isFolder = file !== undefined && (await stat(file).catch(() => undefined))?.isDirectory();
  const path = file === undefined ? name : isFolder ? join(file, name) : file;
  const destination = { location: localLocation(resolve(path)) };
  await session.transfer([{ source: target.place, destination }], { onlyNew: false, signal });
}
