import { parseReference } from './reference.ts';
import { parseLibraryReference, parseShubReference } from './sif-service/reference.ts';

/** Hexadecimal digits of a digest in a name, as Docker's short identifiers have. */
const SHORT = 12;

/**
 * The name that an image gets where nobody gave it one: the last part of its own, `_` and its tag, as apptainer names
 * what it pulls (`montage_latest.sif`), then `ending`. Without a tag it is `sha256-` and the beginning of the digest.
 * Throws `invalid-request` for what names no image.
 */
export function imageFileName(scheme: string, name: string, ending: string): string {
  const { path, tag } = partsOf(scheme, name);
  return `${path.slice(path.lastIndexOf('/') + 1)}_${tag}${ending}`;
}

function partsOf(scheme: string, name: string): { readonly path: string; readonly tag: string } {
  if (scheme === 'library') return parseLibraryReference(name);
  if (scheme === 'shub') {
    const { path, tag, pin = '' } = parseShubReference(name);
    return { path, tag: tag ?? pin };
  }
  const { repository, tag, digest = '' } = parseReference(name);
  return { path: repository, tag: tag ?? digest.replace(':', '-').slice(0, 'sha256-'.length + SHORT) };
}
