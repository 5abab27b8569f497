const PATTERN = /^\.bridle-([0-9a-f]{32})-([0-9a-f]{16})\.part$/;

/** The name of an unfinished upload, in the directory of its destination: hidden, and of a shape that nobody else makes. */
export function partialName(key: string, nonce: string): string {
  return `.bridle-${key}-${nonce}.part`;
}

/** The key of the write that left a partial of this name; undefined for every other name. */
export function keyOfPartial(name: string): string | undefined {
  return PATTERN.exec(name)?.[1];
}
