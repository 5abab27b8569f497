import { TransferError } from '../../errors.ts';
import type { RecipeKind } from '../../image/build/recipe.ts';
import type { KeepFormat } from '../../image/keep.ts';
import { formatReference, parseReference, type Reference } from '../../image/reference.ts';
import { maskUrl, parseUrl } from '../../location.ts';
import { shellLine } from '../shell-line.ts';
import { noDirectory } from './file-argument.ts';
import { type Goal, pullGoal } from './goal.ts';
import { registryImage } from './order.ts';

/** Where what is built goes: a file or a directory, an image of a registry, or a SIF file in one. */
export type BuildGoal =
  | (Goal & {
      readonly kind: 'file';
      /** What the image is called in an archive. */
      readonly name: string;
    })
  | {
      readonly kind: 'registry' | 'artifact';
      /** As it was given. */
      readonly name: string;
      readonly reference: Reference;
      readonly format?: undefined;
    };

/**
 * What `to` names; without it, the file that `bridle image pull` would make of an image called `name`. Throws
 * `invalid-request` for what cannot be made from such a build file.
 */
export function buildGoal(
  to: string | undefined,
  {
    kind,
    format,
    name,
  }: { readonly kind: RecipeKind; readonly format: KeepFormat | undefined; readonly name: string },
): BuildGoal {
  const registry = to === undefined ? undefined : registryGoal(to, kind);
  if (registry) {
    if (format === undefined) return registry;
    throw new TransferError('invalid-request', `--format: what is pushed is kept as the registry keeps it`);
  }
  const initial = kind === 'definition' ? 'sif' : 'hybrid';
  const goal = pullGoal({ scheme: 'docker', name }, to, { asked: format, initial });
  const made = goal.format ?? initial;
  if (kind === 'definition' && made !== 'sif' && made !== 'sandbox') {
    throw new TransferError(
      'invalid-request',
      `--format: a definition file becomes a SIF file or a sandbox: expected \`sif\` or \`sandbox\`, got \`${made}\``,
    );
  }
  if (goal.place && (made === 'oci' || made === 'sandbox')) throw noDirectory(goal.shown);
  return { ...goal, format: made, kind: 'file', name };
}

function registryGoal(to: string, kind: RecipeKind): BuildGoal | undefined {
  if (/^oras:\/\//i.test(to)) {
    const { location } = parseUrl(to);
    return { kind: 'artifact', name: to, reference: parseReference(location.authority + location.path) };
  }
  if (!/^(docker|oci):\/\//i.test(to)) return undefined;
  const { reference } = registryImage(to);
  if (kind === 'dockerfile') return { kind: 'registry', name: to, reference };
  throw new TransferError(
    'invalid-request',
    `\`${maskUrl(to)}\`: a definition file becomes a SIF file, which has no layers`,
    {
      hint: `as one file a registry keeps it under \`oras://${formatReference(reference)}\``,
    },
  );
}

/** The command that would do the rest with the file `built`. Logins in URLs are not shown. */
export function goalLine(built: string, goal: BuildGoal): string {
  if (goal.kind === 'file') {
    return shellLine(['bridle', 'image', 'convert', built, `${goal.format ?? 'hybrid'}:${goal.path}`]);
  }
  return shellLine(['bridle', 'image', 'push', built, maskUrl(goal.name)]);
}
