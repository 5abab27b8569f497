const MIB = 1024 * 1024;

/** Parts that one upload may have, and the least bytes of each but the last (S3 user guide, Multipart upload limits). */
export const MAX_PARTS = 10_000;

/** How bytes become parts. Tests have smaller ones. */
export interface PartLimits {
  /** Bytes of a part, while that is enough; what is no larger is stored by one request. */
  readonly part: number;
  /** Bytes on their way at a time, but one part at least. */
  readonly window: number;
  /** Parts larger than this are not held in memory but sent as they come, one at a time. */
  readonly held: number;
}

export const PART_LIMITS: PartLimits = { part: 8 * MIB, window: 32 * MIB, held: 32 * MIB };

/** Of an upload of unknown length, parts become twice as large after each of these. */
const STEP = 1000;

/** Bytes of part `n` (from 1): all alike where the size is known, growing where it is not, up to 7.8 TiB in 10,000 parts. */
export function partSize(n: number, part: number, size: number | undefined): number {
  if (size !== undefined) return part;
  return part * 2 ** Math.floor((n - 1) / STEP);
}

/** The size of parts with which `size` bytes fit into 10,000 of them. */
export function basePart(size: number | undefined, limits: PartLimits): number {
  const times = Math.ceil((size ?? 0) / MAX_PARTS / limits.part);
  return limits.part * Math.max(1, times);
}

/** Parts of `bytes` each that may be on their way at a time. */
export function windowOf(bytes: number, limits: PartLimits): number {
  return Math.max(1, Math.floor(limits.window / bytes));
}

/** Memory that writing a file of `size` bytes takes. */
export function writeMemory(size: number | undefined, limits: PartLimits = PART_LIMITS): number {
  if (size !== undefined && size <= limits.part) return size;
  const part = basePart(size, limits);
  return part > limits.held ? 0 : (windowOf(part, limits) + 1) * part;
}
