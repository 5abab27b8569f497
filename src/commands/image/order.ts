import { existsSync } from 'node:fs';
import { TransferError } from '../../errors.ts';
import type { KeptAs } from '../../image/archive/open.ts';
import { parseReference, type Reference } from '../../image/reference.ts';
import { parseUrl, type UrlSecret } from '../../location.ts';
import type { Option } from '../option.ts';
import { IMAGE_OPTIONS } from '../options.ts';

/** An image as an argument names it. */
export type Named =
  | { readonly kind: 'file'; readonly path: string; readonly as?: KeptAs }
  | { readonly kind: 'registry'; readonly reference: Reference; readonly secret?: UrlSecret };

const TRANSPORT = /^(docker-archive|oci-archive|oci):(?!\/\/)(.+)$/s;

/**
 * The image that an argument names: `docker://…` and `oci://…` are of registries; `docker-archive:FILE`,
 * `oci-archive:FILE` and `oci:DIRECTORY` are files, and so is what begins with `/`, `./` or `../` or exists here. All
 * else is of a registry. Throws `invalid-request`.
 */
export function parseImage(text: string): Named {
  const [, as, path] = TRANSPORT.exec(text) ?? [];
  if (as !== undefined && path !== undefined) return { kind: 'file', path, as: as as KeptAs };
  if (/^(docker|oci):\/\//i.test(text)) return registryImage(text);
  if (/^\.{0,2}\//.test(text) || (text !== '' && existsSync(text))) return { kind: 'file', path: text };
  return registryImage(text);
}

/** The image of a registry that an argument names, and the login in it. Throws `invalid-request`. */
export function registryImage(text: string): Named & { readonly kind: 'registry' } {
  const bare = text.replace(/^docker:\/*(?=[^/])/i, 'docker://');
  const { location, secret } = parseUrl(/^(docker|oci):/i.test(bare) ? bare : `docker://${text}`);
  const reference = parseReference(location.authority + location.path);
  return { kind: 'registry', reference, ...(secret ? { secret } : {}) };
}

/** Which of the options each action takes beside those that all take. */
const OWN: Readonly<Record<string, readonly (keyof typeof IMAGE_OPTIONS)[]>> = {
  pull: ['format', 'platform', 'mirror', 'state', 'quiet', 'json', 'cache', 'cacheSize', 'cacheAge'],
  convert: ['format', 'platform', 'quiet', 'json'],
  inspect: ['platform', 'mirror', 'json'],
  push: ['platform', 'state', 'quiet', 'json'],
  verify: ['platform', 'mirror', 'quiet', 'json'],
  prune: ['json', 'cache', 'cacheSize', 'cacheAge'],
};
const SOME: readonly string[] = [
  'format',
  'platform',
  'mirror',
  'state',
  'quiet',
  'json',
  'cache',
  'cacheSize',
  'cacheAge',
];

export const ACTIONS: readonly string[] = Object.keys(OWN);

/** Throws `invalid-request` for an option that this action has no use for. */
export function refuseStrange(action: string, given: readonly { readonly key: string }[]): void {
  for (const { key } of given) {
    if (!SOME.includes(key) || OWN[action]?.some((own) => own === key)) continue;
    const { name } = IMAGE_OPTIONS[key as keyof typeof IMAGE_OPTIONS] as Option<unknown>;
    throw new TransferError('invalid-request', `--${name}: \`bridle image ${action}\` has no use for it`);
  }
}
