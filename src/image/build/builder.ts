import { TransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import type { RecipeKind } from './recipe.ts';

/** What builds images here. */
export const BUILDERS = ['buildah', 'podman', 'docker', 'apptainer', 'singularity'] as const;
export type BuilderName = (typeof BUILDERS)[number];

export interface Builder {
  readonly name: BuilderName;
  /** Its path. */
  readonly program: string;
}

/** Best first: what needs no daemon. */
const FOR_KIND: Readonly<Record<RecipeKind, readonly BuilderName[]>> = {
  dockerfile: ['buildah', 'podman', 'docker'],
  definition: ['apptainer', 'singularity'],
};

const NAMED: Readonly<Record<RecipeKind, string>> = {
  dockerfile: 'a Dockerfile',
  definition: 'a definition file',
};

/**
 * What builds from such a file: the one asked for, else the best that is in `path`. Throws `invalid-request` when it does
 * not read such files, `not-found` when there is none.
 */
export function findBuilder(asked: BuilderName | 'auto', kind: RecipeKind, path: string): Builder {
  const fitting = FOR_KIND[kind];
  if (asked !== 'auto' && !fitting.includes(asked)) {
    throw new TransferError(
      'invalid-request',
      `--engine: expected one that builds ${NAMED[kind]} (${fitting.join(', ')}), got \`${asked}\``,
    );
  }
  const wanted = asked === 'auto' ? fitting : [asked];
  const found = findProgram(wanted, path);
  if (found) return { name: found.name, program: found.file };
  const what = wanted.length === 1 ? `${wanted[0]} is not` : `none of ${wanted.join(', ')} is`;
  throw new TransferError('not-found', `building ${NAMED[kind]}: ${what} in PATH`, { hint: HINTS[kind] });
}

const HINTS: Readonly<Record<RecipeKind, string>> = {
  dockerfile:
    "install Debian's `buildah`: apt-get install buildah; or build where there is one, and `bridle image pull` the result",
  definition:
    'install apptainer; or build where there is one, and `bridle image push FILE.sif oras://…` the result',
};
