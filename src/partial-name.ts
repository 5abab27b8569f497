const SHAPE = /^\.?bridle-([0-9a-f]{32})-([0-9a-f]{16})\.part$/;
/** What nginx leaves of an upload that it could not copy from its own directory to ours (`ngx_ext_rename_file`): never gone on with. */
const COPY = /^bridle-([0-9a-f]{32})-([0-9a-f]{16})\.part\.\d{10,20}$/;
const ASIDE = /^\.bridle-([0-9a-f]{32})-([0-9a-f]{16})\.old$/;

/**
 * The name of an unfinished upload on a service, in the directory of its destination: hidden, and of a shape that nobody
 * else makes. `key` is that of the write; `nonce`, 16 hexadecimal digits that no other writer has, is `newNonce`'s.
 */
export function partialName(key: string, nonce: string): string {
  return `.bridle-${key}-${nonce}.part`;
}

/**
 * The same without the dot, for services of which some leave names that begin with one out of their listings (nginx with
 * dav-ext): nobody would find there what a kill left.
 */
export function plainPartialName(key: string, nonce: string): string {
  return partialName(key, nonce).slice(1);
}

/**
 * Where a service that replaces nothing keeps what a name had before, for the moment between two renames. Somebody's
 * file, perhaps the only copy: never hidden in listings, never cleared away.
 */
export function asideName(key: string, nonce: string): string {
  return `.bridle-${key}-${nonce}.old`;
}

/** The key of the write that left a partial of this name; undefined for every other name. */
export function keyOfPartial(name: string): string | undefined {
  return SHAPE.exec(name)?.[1];
}

/** What tells the writer of a partial, or of what was put aside; undefined for every other name. */
export function nonceOf(name: string): string | undefined {
  return (SHAPE.exec(name) ?? COPY.exec(name) ?? ASIDE.exec(name))?.[2];
}

/** True for names that only this project's writers use. Listings leave them out: what is unfinished is nobody's file. */
export function isPartialName(name: string): boolean {
  return SHAPE.test(name) || COPY.test(name);
}

/** What the name says of a leftover: an unfinished file, one put aside, or nothing of ours. */
export function leftoverOf(
  name: string,
): { readonly kind: 'partial' | 'aside'; readonly key: string } | undefined {
  const partial = SHAPE.exec(name) ?? COPY.exec(name);
  if (partial?.[1]) return { kind: 'partial', key: partial[1] };
  const aside = ASIDE.exec(name);
  return aside?.[1] ? { kind: 'aside', key: aside[1] } : undefined;
}
