import { createHash } from 'node:crypto';
import type { Part } from './multipart.ts';

/** What a journal keeps of an upload: enough to find it, and to tell its parts from anybody else's. */
export interface Handle {
  readonly uploadId: string;
  /** Bytes of a part, as `partSize` takes it. */
  readonly part: number;
  readonly size?: number;
  /** The service was told that it will get the CRC64NVME of each part and of the whole. */
  readonly isSummed?: true;
  /** Parts without a gap from the first that the service acknowledged. */
  readonly parts: number;
  /** sha256 over their entity tags. A list of 10,000, written anew for each part, would be gigabytes. */
  readonly tags: string;
}

/** The handle as text of less than 1 KiB. */
export function formatHandle(handle: Omit<Handle, 'parts' | 'tags'>, parts: readonly Part[]): string {
  const { uploadId, part, size, isSummed } = handle;
  const known = { ...(size === undefined ? {} : { size }), ...(isSummed ? { isSummed } : {}) };
  return JSON.stringify({ uploadId, part, ...known, parts: parts.length, tags: digestTags(parts) });
}

/** Undefined for anything but what {@link formatHandle} wrote. */
export function parseHandle(text: string): Handle | undefined {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof given !== 'object' || given === null) return undefined;
  const { uploadId, part, size, isSummed, parts, tags } = given as Readonly<Record<string, unknown>>;
  if (typeof uploadId !== 'string' || typeof tags !== 'string') return undefined;
  if (typeof part !== 'number' || typeof parts !== 'number') return undefined;
  if (size !== undefined && typeof size !== 'number') return undefined;
  const known = {
    ...(size === undefined ? {} : { size }),
    ...(isSummed === true ? { isSummed: true as const } : {}),
  };
  return { uploadId, part, parts, tags, ...known };
}

export function digestTags(parts: readonly Part[]): string {
  const hash = createHash('sha256');
  for (const { tag } of parts) hash.update(`${tag}\n`);
  return hash.digest('hex');
}
