import { existsSync } from 'node:fs';
import { TransferError } from '../../errors.ts';
import type { KeptAs } from '../../image/archive/open.ts';
import { parseWhich, type Which } from '../../image/archive/which.ts';
import { formatLocation, IMAGE_SCHEMES, LOCAL_SCHEMES, maskUrl, parseUrl } from '../../location.ts';
import type { Place } from '../../request.ts';

/** A file that holds an image, or several, as an argument names it. */
export interface FileArgument {
  readonly path: string;
  readonly as?: KeptAs;
  readonly which?: Which;
  readonly place?: Place;
}

const TRANSPORT = /^(docker-archive|oci-archive|oci):(?!\/\/)(.+)$/s;
/** As the word before what is to be made. */
const SIF = /^sif:(?!\/\/)(.+)$/s;
const URL_BEGINNING = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//;

/**
 * The file that an argument names by a word before it, or as a URL of a file; undefined for anything else. What stands
 * behind a colon is which image of several (`containers-transports(5)`), unless a file of the whole name is there.
 * Throws `invalid-request`.
 */
export function fileName(text: string): FileArgument | undefined {
  const [, sif] = SIF.exec(text) ?? [];
  if (sif !== undefined) return filePlace(sif) ?? { path: sif };
  const [, as, rest] = TRANSPORT.exec(text) ?? [];
  if (as === undefined || rest === undefined) return filePlace(text);
  const { name, which } = splitWhich(rest);
  const found = filePlace(name) ?? { path: name };
  if (as === 'oci' && found.place) throw noDirectory(text);
  return { ...found, as: as as KeptAs, ...(which === undefined ? {} : { which: parseWhich(which) }) };
}

/** The file of a URL; undefined for what is none, and for names of registries. Throws `invalid-request`. */
export function filePlace(text: string): { readonly path: string; readonly place?: Place } | undefined {
  const scheme = URL_BEGINNING.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined || IMAGE_SCHEMES.has(scheme)) return undefined;
  const place = parseUrl(text);
  const { location } = place;
  if (LOCAL_SCHEMES.has(scheme)) return { path: location.path };
  return { path: formatLocation(location), place };
}

/** Why a URL cannot be of what lies in many files. */
export function noDirectory(text: string): TransferError {
  return new TransferError(
    'invalid-request',
    `\`${maskUrl(text)}\`: expected a directory of this machine: an OCI layout and a sandbox are many files, and a URL names one`,
    { hint: 'as one file an image is an `oci-archive:`, a `docker-archive:` or a `sif:`' },
  );
}

function splitWhich(text: string): { readonly name: string; readonly which?: string } {
  const [, beginning = ''] = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/[^/]*)/.exec(text) ?? [];
  if (beginning === '' && existsSync(text)) return { name: text };
  const colons = [...text.matchAll(/:/g)].map(({ index }) => index).filter((at) => at >= beginning.length);
  const at =
    (beginning === '' ? colons.find((end) => existsSync(text.slice(0, end))) : undefined) ?? colons[0];
  return at === undefined ? { name: text } : { name: text.slice(0, at), which: text.slice(at + 1) };
}
