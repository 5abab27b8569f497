import { TransferError } from '../../errors.ts';
import { archiveName, parseReference } from '../reference.ts';

/** One of several images in an archive or layout: by its name, or by its place in the list, from 0. */
export type Which = { readonly name: string } | { readonly at: number };

/** An image as the list of an archive has it. */
export interface Listed<E> {
  readonly entry: E;
  /** All that it is called by; none where it has no name. */
  readonly names: readonly string[];
}

/** Names that are told of an archive of many images. */
const MOST_TOLD = 20;

/** `NAME`, `NAME:TAG` or `@INDEX` (`containers-transports(5)`). Throws `invalid-request` for anything else. */
export function parseWhich(text: string): Which {
  const [, index] = /^@(\d{1,6})$/.exec(text) ?? [];
  if (index !== undefined) return { at: Number(index) };
  if (text !== '' && !text.startsWith('@')) return { name: text };
  throw new TransferError(
    'invalid-request',
    `which image of the archive: expected \`NAME[:TAG]\` or \`@INDEX\`, got \`${text}\``,
  );
}

/**
 * Those of `all` that are meant: the named ones, or all where nothing was named and they do not have different names.
 * Throws `not-found` when there is none of the name, `unsupported` when one has to be named; both tell what there is.
 */
export function pickImages<E>(
  all: readonly Listed<E>[],
  which: Which | undefined,
  doing: string,
): readonly E[] {
  const hint = all.length === 0 ? {} : { hint: `it has ${told(all)}` };
  if (which === undefined) {
    if (new Set(all.map(({ names }) => names.join(' '))).size <= 1) return all.map(({ entry }) => entry);
    throw new TransferError(
      'unsupported',
      `${doing}: it has ${all.length} images, and one has to be named: \`docker-archive:FILE:NAME\`, \`oci-archive:FILE:NAME\`, or \`@INDEX\` for the name`,
      hint,
    );
  }
  const found =
    'at' in which
      ? all.slice(which.at, which.at + 1)
      : all.filter(({ names }) => names.some((name) => isSame(name, which.name)));
  if (found.length > 0) return found.map(({ entry }) => entry);
  const asked = 'at' in which ? `@${which.at}` : which.name;
  throw new TransferError('not-found', `${doing}: it has no image \`${asked}\``, hint);
}

function told(all: readonly Listed<unknown>[]): string {
  const names = all
    .slice(0, MOST_TOLD)
    .map(({ names: [name] }, at) => `${name ?? 'one without a name'} (@${at})`);
  const rest = all.length - names.length;
  return `${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** `busybox:1` and `docker.io/library/busybox:1` are the same; a tag alone is only itself. */
function isSame(name: string, asked: string): boolean {
  return name === asked || (/[:/]/.test(name) && completed(name) === completed(asked));
}

function completed(name: string): string {
  try {
    return archiveName(parseReference(name));
  } catch {
    return name;
  }
}
