import { TransferError } from '../../errors.ts';
import { below } from '../arguments.ts';
import { requireAbsent, requireBucketAt } from './put.ts';
import type { S3Work } from './run.ts';
import { lastPart, requireBucket, type S3Pair, type S3Target } from './session.ts';

/** `cp SRC... DST`: by the service itself. Several sources, or a key that ends in `/`, take their own last names. */
export async function copyKeys({ invocation, session, signal }: S3Work): Promise<void> {
  const { flags, positionals } = invocation;
  const sources = await Promise.all(positionals.slice(0, -1).map(session.target));
  const target = await session.target(positionals.at(-1) ?? '');
  requireBucket(target);
  const isFolder = target.key === '' || target.key.endsWith('/');
  if (sources.length > 1 && !isFolder) {
    throw new TransferError(
      'invalid-request',
      `\`${target.object.name}\`: expected a bucket for several sources`,
    );
  }
  for (const source of sources) requireSame(source, target);
  if (!flags.has('create')) await requireBucketAt(target, signal);
  const pairs: S3Pair[] = [];
  for (const source of sources) {
    const name = lastPart(source.key);
    const destination = isFolder ? below(target.place, name) : target.place;
    const object = isFolder ? { ...target.object, key: `${target.key}${name}` } : target.object;
    if (!flags.has('force')) await requireAbsent(target, object, signal);
    pairs.push({ source: source.place, destination });
  }
  await session.transfer(pairs, { onlyNew: !flags.has('force'), signal });
}

function requireSame(source: S3Target, target: S3Target): void {
  requireBucket(source);
  if (source.key === '')
    throw new TransferError('invalid-request', `\`${source.object.name}\`: expected a key behind the bucket`);
  if (source.identity === target.identity) return;
  throw new TransferError(
    'invalid-request',
    `expected one user and site on both sides, got \`${source.identity}\` and \`${target.identity}\``,
    { hint: '`bridle cp` copies between any two' },
  );
}
