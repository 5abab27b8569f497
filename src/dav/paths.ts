/** Without the query, which is no part of where a resource lies. */
export function withoutQuery(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

/** The path as that of a collection: servers redirect or refuse it without the slash (RFC 4918 §5.2). */
export function collectionPath(path: string): string {
  const bare = withoutQuery(path);
  return bare.endsWith('/') ? bare : `${bare}/`;
}

/** The path as that of a file. */
export function memberPath(path: string): string {
  return withoutQuery(path).replace(/\/+$/, '') || '/';
}

/** The collection that the resource lies in, with a slash at its end; `/` for the root itself. */
export function parentPath(path: string): string {
  const member = memberPath(path);
  return member.slice(0, member.lastIndexOf('/') + 1) || '/';
}

/** For comparing: encoded alike, whoever encoded it, and without slashes at the end. */
export function plainPath(path: string): string {
  return memberPath(path)
    .split('/')
    .map((part) => {
      const name = decode(part);
      return name === undefined ? part : encodeURIComponent(name);
    })
    .join('/');
}

/** The name that an encoded part of a path stands for; undefined when it is no UTF-8. */
export function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** The path of an href, which may be a whole URL (RFC 4918 §8.3). */
export function hrefPath(href: string): string {
  const path = href.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  return path.startsWith('/') ? path : `/${path}`;
}
