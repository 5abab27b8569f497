import { basename, dirname } from 'node:path';
import { TransferError } from '../../errors.ts';
import type { CommandLine } from '../../job/container.ts';
import { writerId } from '../../local/writer.ts';
import type { Builder } from './builder.ts';
import type { Recipe } from './recipe.ts';

/** How an image is to be built. */
export interface BuildOrder {
  readonly recipe: Recipe;
  readonly builder: Builder;
  /** Absolute: the archive or the SIF file that is to be there then. */
  readonly output: string;
  /** `host/repository:tag` that an archive carries. */
  readonly name: string;
  /** `OS/ARCH[/VARIANT]`. */
  readonly platform?: string | undefined;
  /** The last stage that is wanted. */
  readonly target?: string | undefined;
  /** `NAME=VALUE`, or the `NAME` of a variable. */
  readonly arguments: readonly string[];
  /** Layers are to be gzipped: they are kept as they are. */
  readonly isGzipped: boolean;
  /** Seconds since 1970 that everything made is dated; the same input gives the same image then. */
  readonly time?: string | undefined;
  /** More for the engine. */
  readonly more: readonly string[];
}

/** The command lines that an engine takes for an order, one after the other. */
export interface BuildPlan {
  readonly steps: readonly CommandLine[];
  /** Where they are started. */
  readonly directory: string;
  /** Takes away what the engine itself kept of the image, whatever became of the steps. */
  readonly remove?: CommandLine;
}

const TEMPORARY = 'bridle-build';

/** What docker calls the image until it is exported. It says who builds, so that a later run knows whether that one still lives. */
export const temporaryName = (): string => `${TEMPORARY}:${writerId()}`;

/** All names of that form, one a line, as `REPOSITORY:TAG`. */
export const listTemporary = ({ program }: Builder): CommandLine => [
  program,
  'images',
  '--filter',
  `reference=${TEMPORARY}`,
  '--format',
  '{{.Repository}}:{{.Tag}}',
];

/** Whose image has this name; undefined for one that is not ours. */
export function temporaryWriter(name: string): string | undefined {
  return /(?:^|\/)bridle-build:([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12})$/.exec(name)?.[1];
}

/** Without its layers, which the next build takes from there. */
export const removeTemporary = ({ program }: Builder, name: string): CommandLine => [
  program,
  'rmi',
  '--no-prune',
  name,
];

/** Throws `invalid-request` for what the engine has no word for. */
export function planBuild(order: BuildOrder): BuildPlan {
  const { builder } = order;
  if (builder.name === 'apptainer' || builder.name === 'singularity') return planSif(order);
  return builder.name === 'docker' ? planDocker(order) : planArchive(order);
}

/**
 * buildah and podman write into an archive at once, and nothing of the image stays in their store (`buildah-build(1)`,
 * `--tag`; `containers-transports(5)`, `oci-archive`). They are started beside it: a colon in its path would end it.
 */
function planArchive(order: BuildOrder): BuildPlan {
  const { builder, output, name, isGzipped, time } = order;
  const line: CommandLine = [
    builder.program,
    'build',
    '--tag',
    `oci-archive:${basename(output)}:${name}`,
    // Otherwise layers are as large as what they hold.
    `--disable-compression=${!isGzipped}`,
    ...(time === undefined ? [] : ['--timestamp', time]),
    ...sourceWords(order),
  ];
  return { steps: [line], directory: dirname(output) };
}

/** docker builds into its own store; BuildKit takes the time from its environment. */
function planDocker(order: BuildOrder): BuildPlan {
  const { builder, output, recipe } = order;
  const { program } = builder;
  const name = temporaryName();
  return {
    steps: [
      [program, 'build', '--tag', name, ...sourceWords(order)],
      [program, 'save', '--output', output, name],
    ],
    directory: recipe.context,
    remove: removeTemporary(builder, name),
  };
}

function sourceWords({ recipe, platform, target, arguments: given, more }: BuildOrder): string[] {
  return [
    '--file',
    recipe.file,
    ...(platform === undefined ? [] : ['--platform', platform]),
    ...(target === undefined ? [] : ['--target', target]),
    ...given.flatMap((one) => ['--build-arg', one]),
    ...more,
    recipe.context,
  ];
}

/** What a definition file names is looked for from where apptainer is started. */
function planSif(order: BuildOrder): BuildPlan {
  const { builder, output, recipe, arguments: given, more, platform, target } = order;
  for (const [option, value] of Object.entries({ platform, target })) {
    if (value === undefined) continue;
    throw new TransferError(
      'invalid-request',
      `--${option}: ${builder.name} builds a definition file without it`,
    );
  }
  const words = [...given.flatMap((one) => ['--build-arg', one]), ...more];
  return { steps: [[builder.program, 'build', ...words, output, recipe.file]], directory: recipe.context };
}
