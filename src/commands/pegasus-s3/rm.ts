import { readFile } from 'node:fs/promises';
import { TransferError, toTransferError } from '../../errors.ts';
import { listPages } from '../../s3/list.ts';
import { removeKeys } from '../../s3/remove.ts';
import { headObject } from '../../s3/stat.ts';
import type { S3Work } from './run.ts';
import { requireBucket, type S3Session, type S3Target } from './session.ts';

/** `rm URL` and `rm -F FILE`: each identity's keys of each bucket together. Without `-f`, every one of them must be there. */
export async function removeUrls({ invocation, session, signal }: S3Work): Promise<void> {
  const { file, positionals, flags } = invocation;
  const urls = file === undefined ? positionals : await urlsIn(file);
  const groups = await grouped(urls, session);
  if (!flags.has('force')) {
    for (const group of groups.values()) for (const target of group) await requirePresent(target, signal);
  }
  for (const group of groups.values()) await removeGroup(group, signal);
}

async function urlsIn(file: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw toTransferError(error, `reading \`${file}\``);
  }
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

async function grouped(urls: readonly string[], session: S3Session): Promise<Map<string, S3Target[]>> {
  const groups = new Map<string, S3Target[]>();
  for (const url of urls) {
    const target = await session.target(url);
    const key = `${target.identity}/${requireBucket(target)}`;
    if (target.key === '') {
      throw new TransferError('invalid-request', `\`${url}\`: expected a key behind the bucket`, {
        hint: 'a bucket is emptied with `*` as the key',
      });
    }
    groups.set(key, [...(groups.get(key) ?? []), target]);
  }
  return groups;
}

/** The key stands for everything that begins like it. */
function isPrefix({ key }: S3Target): boolean {
  return key.endsWith('*');
}

async function requirePresent(target: S3Target, signal: AbortSignal): Promise<void> {
  if (isPrefix(target)) {
    for await (const page of pagesOf(target, signal)) if (page.length > 0) return;
  } else if (await headObject(target.service.client, target.object, signal)) return;
  throw new TransferError('not-found', `remove \`${target.object.name}\`: not found`, {
    hint: 'with -f, what is not there is not missed',
  });
}

function pagesOf({ service, bucket, key, object }: S3Target, signal: AbortSignal) {
  const prefix = key.slice(0, -1);
  return listPages(service.client, { bucket, prefix, signal, doing: `remove \`${object.name}\`` });
}

async function removeGroup(group: readonly S3Target[], signal: AbortSignal): Promise<void> {
  const [first] = group;
  if (!first) return;
  const { client } = first.service;
  const named = group.filter((target) => !isPrefix(target)).map(({ key }) => key);
  await removeKeys(client, first.object, named, signal);
  for (const target of group.filter(isPrefix)) {
    for await (const page of pagesOf(target, signal)) {
      const keys = page.map(({ key }) => key);
      await removeKeys(client, target.object, keys, signal);
    }
  }
}
