import { dirname, join, resolve } from 'node:path';
import { TransferError } from '../../errors.ts';
import { buildImage } from '../../image/build/build-image.ts';
import { findBuilder } from '../../image/build/builder.ts';
import { type BuildOrder, planBuild } from '../../image/build/plan.ts';
import { findRecipe, isDirectory, type Recipe, recipeName } from '../../image/build/recipe.ts';
import { convertImage } from '../../image/keep.ts';
import { formatPlatform } from '../../image/platform.ts';
import { archiveName, parseReference } from '../../image/reference.ts';
import { findPacker } from '../../image/sif/packer.ts';
import { maskUrl } from '../../location.ts';
import { safeText } from '../../report/format.ts';
import { engineWords } from '../engine-words.ts';
import { shellLine } from '../shell-line.ts';
import { type BuildGoal, buildGoal, goalLine } from './build-goal.ts';
import { keepBuiltSif } from './built-sif.ts';
import { keepOpened } from './convert.ts';
import { filePlace } from './file-argument.ts';
import { openReady, readyFile } from './open-file.ts';
import { pushOpened } from './push.ts';
import { pushSif } from './push-sif.ts';
import type { Work } from './tools.ts';

/** What stands for the file that an engine makes where nothing is made. */
const AS_BUILT = { dockerfile: 'IMAGE-AS-BUILT.tar', definition: 'IMAGE-AS-BUILT.sif' } as const;

/** `bridle image build BUILDFILE|DIRECTORY [FILE|REF]`: an engine builds, bridle keeps what came of it. */
export async function build([from, to, more]: readonly string[], work: Work): Promise<void> {
  if (from === undefined || more !== undefined) {
    throw new TransferError(
      'invalid-request',
      'expected a build file or its directory, and perhaps a file or a name to keep the image under',
    );
  }
  const { values, io, signal } = work;
  const recipe = await recipeOf(from, work);
  const { reference, goal } = nameAndGoal(recipe, to, work);
  const builder = findBuilder(values.engine ?? 'auto', recipe.kind, io.env.PATH ?? '');
  if (recipe.kind === 'dockerfile' && isSif(goal)) findPacker(io.env.PATH ?? '');
  const order = (output: string): BuildOrder => ({
    recipe,
    builder,
    output,
    name: archiveName(reference),
    platform: work.platform && formatPlatform(work.platform),
    target: values.target,
    arguments: values.buildArg.map(requireArgument),
    isGzipped: !isSif(goal) && goal.format !== 'sandbox',
    time: epochOf(io.env.SOURCE_DATE_EPOCH),
    more: values.engineArgs.flatMap((words) => engineWords('engine-args', words)),
  });
  if (values.dryRun) {
    const built = AS_BUILT[recipe.kind];
    const lines = [
      ...planBuild(order(join(dirname(recipe.file), built))).steps.map(shellLine),
      goalLine(built, goal),
    ];
    return io.out(lines.map((line) => `${safeText(line)}\n`).join(''));
  }
  const output = await work.scratch.path(recipe.kind === 'dockerfile' ? 'image.tar' : 'image.sif');
  await buildImage(order(output), {
    environment: io.env,
    signal,
    onLine: values.quiet ? undefined : (line) => io.err(`${safeText(line)}\n`),
    warn: (message) => io.err(`warning: ${safeText(message)}\n`),
  });
  if (recipe.kind === 'definition') return keepSif(output, goal, reference.repository, work);
  return keepArchive(output, goal, work);
}

async function recipeOf(from: string, work: Work): Promise<Recipe> {
  const found = filePlace(from) ?? { path: from };
  const path = found.place ? (await readyFile(found, work)).path : resolve(found.path);
  const { context } = work.values;
  if (context === undefined) return findRecipe(path);
  if (!isDirectory(resolve(context), `--context: \`${context}\``)) {
    throw new TransferError('invalid-request', `--context: expected a directory, got \`${context}\``);
  }
  return findRecipe(path, resolve(context));
}

function nameAndGoal(recipe: Recipe, to: string | undefined, { values }: Work) {
  const own = parseReference(values.tag ?? `localhost/${recipeName(recipe)}`);
  if (own.digest !== undefined) {
    throw new TransferError(
      'invalid-request',
      `--tag: expected a name without a digest, got \`${values.tag}\``,
    );
  }
  const goal = buildGoal(to, { kind: recipe.kind, format: values.format, name: archiveName(own) });
  if (goal.kind === 'file') return { reference: own, goal };
  if (values.tag === undefined) return { reference: goal.reference, goal };
  const inRegistry = maskUrl(goal.name);
  throw new TransferError(
    'invalid-request',
    `--tag: the image gets the name in the registry, \`${inRegistry}\``,
  );
}

const isSif = (goal: BuildGoal): boolean =>
  goal.kind === 'artifact' || (goal.kind === 'file' && goal.format === 'sif');

/** An archive that an engine has just made. */
async function keepArchive(path: string, goal: BuildGoal, work: Work): Promise<void> {
  const { signal, io } = work;
  const { image } = await openReady(path, {}, work);
  if (goal.kind === 'file') return keepOpened({ ...image, name: goal.name }, goal, work);
  if (goal.kind === 'registry') return pushOpened(image, goal.name, work);
  const sif = await work.scratch.path('image.sif');
  const { notes } = await convertImage(image, {
    path: sif,
    format: 'sif',
    signal,
    programs: io.env.PATH ?? '',
  });
  for (const note of notes) io.err(`warning: ${safeText(note)}\n`);
  return pushSif(sif, goal.name, work);
}

function keepSif(path: string, goal: BuildGoal, name: string, work: Work): Promise<void> {
  return goal.kind === 'file' ? keepBuiltSif(path, name, goal, work) : pushSif(path, goal.name, work);
}

function requireArgument(text: string): string {
  if (/^[A-Za-z_]\w*(=|$)/.test(text)) return text;
  const name = text.split('=', 1)[0] ?? '';
  throw new TransferError(
    'invalid-request',
    `--build-arg: expected NAME=VALUE or NAME, got the name \`${name}\``,
  );
}

/** Seconds since 1970 that builds are to be dated (reproducible-builds.org, `SOURCE_DATE_EPOCH`). */
function epochOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,12}$/.test(text)) return text;
  throw new TransferError(
    'invalid-request',
    `SOURCE_DATE_EPOCH: expected seconds since 1970, got \`${text}\``,
  );
}
