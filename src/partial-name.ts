const SHAPE = /^\.bridle-([0-9a-f]{32})-[0-9a-f]{16}\.part$/;

/**
 * The name of an unfinished upload on a service, in the directory of its destination: hidden, and of a shape that nobody
 * else makes. `key` is that of the write, `nonce` 16 hexadecimal digits that no other writer has.
 */
export function partialName(key: string, nonce: string): string {
  return `.bridle-${key}-${nonce}.part`;
}

/** The key of the write that left a partial of this name; undefined for every other name. */
export function keyOfPartial(name: string): string | undefined {
  return SHAPE.exec(name)?.[1];
}

/** True for names that only this project's writers use. Listings leave them out: what is unfinished is nobody's file. */
export function isPartialName(name: string): boolean {
  return SHAPE.test(name);
}
