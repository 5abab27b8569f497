import { existsSync } from 'node:fs';
import { TransferError } from '../../errors.ts';
import type { KeptAs } from '../../image/archive/open.ts';
import type { Which } from '../../image/archive/which.ts';
import { formatReference, parseReference, type Reference } from '../../image/reference.ts';
import { parseUrl, type UrlSecret } from '../../location.ts';
import type { Place } from '../../request.ts';
import type { Option } from '../option.ts';
import { IMAGE_OPTIONS } from '../options.ts';
import { fileName } from './file-argument.ts';

/** An image as an argument names it. */
export type Named =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly as?: KeptAs;
      /** Which one of several images in it. */
      readonly which?: Which;
      /** Where it is, when it is to be fetched first; `path` is its name then. */
      readonly place?: Place;
    }
  | { readonly kind: 'registry'; readonly reference: Reference; readonly secret?: UrlSecret };

const REGISTRY = /^(?:docker|oci):\/\//i;
/** No image is called so: whoever forgets a file is not to be told of Docker Hub. */
const FILE_ENDING = /^[^:@]+\.(?:sif|simg|tar|tgz|tar\.(?:gz|zst|bz2|xz))$/i;

/**
 * The image that an argument names: `docker://…` and `oci://…` are of registries; `docker-archive:FILE`,
 * `oci-archive:FILE` and `oci:DIRECTORY`, with `:NAME` or `:@INDEX` behind them for one of several, are files, and so are
 * other URLs, what begins with `/`, `./` or `../` or ends as files do, and what exists here. All else is of a registry. Throws `invalid-request`.
 */
export function parseImage(text: string): Named {
  const file = fileName(text);
  if (file) return { kind: 'file', ...file };
  if (REGISTRY.test(text)) return registryImage(text);
  const isFile = /^\.{0,2}\//.test(text) || FILE_ENDING.test(text) || (text !== '' && existsSync(text));
  if (isFile) return { kind: 'file', path: text };
  return registryImage(text);
}

/** The file that an argument names: what is none here is not found then. Throws `invalid-request` for a registry's name. */
export function parseFile(text: string): Named & { readonly kind: 'file' } {
  const named = parseImage(text);
  if (named.kind === 'file') return named;
  if (!REGISTRY.test(text)) return { kind: 'file', path: text };
  throw new TransferError(
    'invalid-request',
    `\`docker://${formatReference(named.reference)}\`: expected a file that holds an image, got the name of one in a registry`,
    { hint: '`bridle image pull` keeps it as a file, in any format' },
  );
}

/** The image of a registry that an argument names, and the login in it. Throws `invalid-request`. */
export function registryImage(text: string): Named & { readonly kind: 'registry' } {
  const bare = text.replace(/^docker:\/*(?=[^/])/i, 'docker://');
  const { location, secret } = parseUrl(/^(docker|oci):/i.test(bare) ? bare : `docker://${text}`);
  const reference = parseReference(location.authority + location.path);
  return { kind: 'registry', reference, ...(secret ? { secret } : {}) };
}

/** For files that are fetched first. */
const FETCHED = ['checksums', 'cache', 'cacheSize', 'cacheAge'] as const;

/** For what is built. */
const BUILDING = ['engine', 'tag', 'context', 'buildArg', 'target', 'engineArgs', 'dryRun'] as const;

/** Which of the options each action takes beside those that all take. */
const OWN: Readonly<Record<string, readonly (keyof typeof IMAGE_OPTIONS)[]>> = {
  pull: ['format', 'platform', 'mirror', 'state', 'quiet', 'json', 'cache', 'cacheSize', 'cacheAge'],
  convert: ['format', 'platform', 'state', 'quiet', 'json', ...FETCHED],
  inspect: ['platform', 'mirror', 'json', ...FETCHED],
  push: ['platform', 'state', 'quiet', 'json', ...FETCHED],
  verify: ['platform', 'mirror', 'quiet', 'json', ...FETCHED],
  build: ['format', 'platform', 'state', 'quiet', 'json', ...BUILDING],
  prune: ['json', 'cache', 'cacheSize', 'cacheAge'],
};
const SOME: ReadonlySet<string> = new Set(Object.values(OWN).flat());

export const ACTIONS: readonly string[] = Object.keys(OWN);

/** Throws `invalid-request` for an option that this action has no use for. */
export function refuseStrange(action: string, given: readonly { readonly key: string }[]): void {
  for (const { key } of given) {
    if (!SOME.has(key) || OWN[action]?.some((own) => own === key)) continue;
    const { name } = IMAGE_OPTIONS[key as keyof typeof IMAGE_OPTIONS] as Option<unknown>;
    throw new TransferError('invalid-request', `--${name}: \`bridle image ${action}\` has no use for it`);
  }
}
