import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TransferError, toTransferError } from '../../errors.ts';
import { firstBytes } from '../../local/first-bytes.ts';
import { safeText } from '../../safe-text.ts';

/** A file that says how an image is built: what docker and podman read, or what apptainer reads. */
export type RecipeKind = 'dockerfile' | 'definition';

export interface Recipe {
  readonly kind: RecipeKind;
  /** Absolute. */
  readonly file: string;
  /** Absolute: the directory that the file's relative names are of. */
  readonly context: string;
}

/** As `podman build` and `docker build` look for one, then as definition files are usually named. */
const USUAL = /^(?:Containerfile|Dockerfile|Singularity|apptainer\.def|.*\.def)$/;
/** Bytes, more than comments before the first instruction have. */
const HEAD_BYTES = 64 * 1024;

/**
 * The build file at an absolute `path`, or the only one in the directory there, told by its first instruction. Throws
 * `not-found` where there is none, `invalid-request` for what is none, and for a directory with several.
 */
export function findRecipe(path: string, context?: string): Recipe {
  const file = isDirectory(path, `build \`${path}\``) ? theOnlyOne(path) : path;
  const kind = kindOf(file);
  return { kind, file, context: context ?? dirname(file) };
}

/** True for a directory. Throws what `stat` says of what is not there. */
export function isDirectory(path: string, doing: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

function theOnlyOne(directory: string): string {
  const doing = `build \`${directory}\``;
  const names = namesIn(directory, doing)
    .filter((name) => USUAL.test(name))
    .sort();
  const [first, ...others] = names;
  if (first === undefined) {
    throw new TransferError(
      'not-found',
      `${doing}: expected a Containerfile, a Dockerfile or a definition file (\`Singularity\`, \`*.def\`) in it`,
    );
  }
  if (others.length > 0) {
    throw new TransferError('invalid-request', `${doing}: several build files are in it`, {
      hint: `name one: ${names.map((name) => safeText(join(directory, name))).join(', ')}`,
    });
  }
  return join(directory, first);
}

function namesIn(directory: string, doing: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

/**
 * A Dockerfile begins with `FROM` or `ARG` (its reference, `FROM`), a definition file with a header of keywords and
 * values, `Bootstrap:` among them (apptainer's user guide, `Definition Files`).
 */
function kindOf(file: string): RecipeKind {
  const doing = `build \`${file}\``;
  const head = firstBytes(file, HEAD_BYTES);
  if (!head) throw new TransferError('invalid-request', `${doing}: expected a file that says how to build`);
  const lines = Buffer.from(head)
    .toString()
    .replace(/^\ufeff/, '')
    .split('\n');
  const first = lines.map((line) => line.trim()).find((line) => line !== '' && !line.startsWith('#')) ?? '';
  if (/^(?:FROM|ARG)\s+[^\s:]/i.test(first)) return 'dockerfile';
  if (/^[a-z]+\s*:/i.test(first) && lines.some((line) => /^\s*bootstrap\s*:/i.test(line)))
    return 'definition';
  const got = first === '' ? 'nothing' : `\`${safeText(first.slice(0, 60))}\``;
  throw new TransferError(
    'invalid-request',
    `${doing}: expected \`FROM\` or \`ARG\` of a Dockerfile, or \`Bootstrap:\` of a definition file, got ${got}`,
  );
}

/** What an image that nobody named is called after: the directory, or what a definition file has in its name. */
export function recipeName({ kind, file, context }: Recipe): string {
  const [, before, behind] = /^(?:(.+)\.def|Singularity\.(.+))$/.exec(basename(file)) ?? [];
  const name = (kind === 'definition' ? (before ?? behind) : undefined) ?? basename(context);
  // As repositories may be called (OCI distribution specification, `<name>`).
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 100);
  return plain.replace(/-+$/, '') || 'image';
}
