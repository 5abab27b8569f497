import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { TransferError } from '../../errors.ts';
import { imageFileName } from '../../image/file-name.ts';
import type { KeepFormat } from '../../image/keep.ts';
import { maskUrl } from '../../location.ts';
import type { Place } from '../../request.ts';
import { filePlace } from './file-argument.ts';

/** Where an image is to be kept, and as what. */
export interface Goal {
  /** Absolute, or the URL. */
  readonly path: string;
  /** Where it is to be sent when it is made; absent for a file of this machine. */
  readonly place?: Place;
  /** Undefined where nobody said it. */
  readonly format: KeepFormat | undefined;
  /** As people are told of it. */
  readonly shown: string;
}

const ENDINGS: Readonly<Partial<Record<KeepFormat, string>>> = { sif: '.sif', oci: '', sandbox: '' };

/**
 * What a file is to be: as asked, or as its name says by a word before it. Throws `invalid-request` where both say
 * something else.
 */
export function goalOf(file: string, asked: KeepFormat | undefined): Goal {
  const [, word, rest] = /^(docker-archive|oci-archive|oci|sif|sandbox):(.+)$/s.exec(file) ?? [];
  if (word === undefined || rest === undefined) {
    // As apptainer would read the name.
    const format = asked ?? (/\.sif$/i.test(file) ? 'sif' : undefined);
    return { ...placed(file), format };
  }
  if (asked !== undefined && asked !== word) {
    throw new TransferError('invalid-request', `--format: \`${asked}\`, and \`${word}:\` before the file`);
  }
  const { shown, ...where } = placed(rest);
  return { ...where, format: word as KeepFormat, shown: `${word}:${shown}` };
}

/** A name of a service is no file: made in a directory called `docker:` it would not be found again. */
const AT_SERVICE = /^(?:docker|oci|oras|library|shub):\/\//i;

function placed(file: string): Pick<Goal, 'path' | 'place' | 'shown'> {
  if (AT_SERVICE.test(file)) {
    throw new TransferError(
      'invalid-request',
      `\`${maskUrl(file)}\`: expected a file, got the name of an image at a service`,
      { hint: '`bridle image push FILE NAME` puts one into a registry' },
    );
  }
  const { path = file, place } = filePlace(file) ?? {};
  if (!place) return { path: resolve(path), shown: file };
  return { path, place, shown: path };
}

/**
 * The goal of a pull. Without a file, and in a directory where a file is to be, the image gets the name of
 * `imageFileName`: ending in `.sif` or `.tar`, or in nothing for a directory. `initial` is the format when nobody said one.
 */
export function pullGoal(
  image: { readonly scheme: string; readonly name: string },
  file: string | undefined,
  { asked, initial }: { readonly asked: KeepFormat | undefined; readonly initial: KeepFormat },
): Goal {
  const goal = file === undefined ? undefined : goalOf(file, asked);
  const ending = ENDINGS[goal?.format ?? asked ?? initial] ?? '.tar';
  const name = () => imageFileName(image.scheme, image.name, ending);
  if (!goal || file === undefined) return { path: resolve(name()), format: asked, shown: name() };
  if (goal.place) return goal;
  const isInside = ending !== '' && (file.endsWith('/') || isDirectory(goal.path));
  return isInside ? { ...goal, path: join(goal.path, name()), shown: join(file, name()) } : goal;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // Whoever makes it tells what is in the way.
    return false;
  }
}
