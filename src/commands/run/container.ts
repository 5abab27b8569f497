import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { imageFileName } from '../../image/file-name.ts';
import { formatReference } from '../../image/reference.ts';
import { beginsAsSif } from '../../image/sif/layout.ts';
import { findPacker } from '../../image/sif/packer.ts';
import { beginsAsSquashfs } from '../../image/sif/superblock.ts';
import { readable } from '../../job/byte-text.ts';
import type { CommandLine } from '../../job/container.ts';
import { type Container, openContainer } from '../../job/containers/container.ts';
import { type Engine, type EngineName, findEngine, type ImageForm } from '../../job/containers/engine.ts';
import { type ContainerOrder, containerName } from '../../job/containers/order.ts';
import { planContainer } from '../../job/containers/plan.ts';
import { hasSubordinateIds } from '../../job/containers/subordinate-ids.ts';
import { firstBytes } from '../../local/first-bytes.ts';
import { formatLocation } from '../../location.ts';
import { knownSchemes } from '../../registry.ts';
import { engineWords } from '../engine-words.ts';
import { filePlace } from '../image/file-argument.ts';
import { registryImage } from '../image/order.ts';
import { serviceSif } from '../image/service-sif.ts';
import type { Run } from '../pegasus-kickstart/status.ts';
import { shellLine } from '../shell-line.ts';
import { type ContainerPlace, placeOf } from './container-place.ts';
import type { RunOrder } from './order.ts';

/** What a job is to be run in, chosen before anything is fetched. */
export interface ContainerChoice {
  readonly engine: Engine;
  readonly image: string;
  readonly form: ImageForm;
  /** The image is one of a registry, which is to be pulled as this before, or a file elsewhere, which is to be fetched. */
  readonly pull?: 'hybrid' | 'sif' | 'file';
  /** How an engine is chosen again, where only the content tells what it has to run. */
  readonly search: { readonly asked: EngineName | 'auto'; readonly path: string | undefined };
  /** More words for the engine. */
  readonly more: readonly string[];
}

/** More than what tells a SIF file from an archive. */
const HEAD_BYTES = 64;
/**
 * The engine and image of `--image`; undefined without one. Throws `invalid-request` for what cannot be meant, `not-found`
 * when no engine for such an image is here.
 */
export function chooseContainer(
  { values }: Pick<RunOrder, 'values'>,
  path: string | undefined,
): ContainerChoice | undefined {
  const { image, engine = 'auto', containerArgs, mount } = values;
  if (image === undefined) return undefined;
  const more = containerArgs.flatMap((words) => engineWords('container-args', words));
  const choice = { ...chooseForm(image, engine, path), more, search: { asked: engine, path } };
  // A wrong mount is told before hours of staging.
  planContainer(
    choice.engine.name,
    orderOf(choice, { directory: '/', mounts: mount, variables: [], gpus: false }),
  );
  return choice;
}

/** What names a registry is pulled by us, as a SIF for engines that would make one of an archive for each job. */
function chooseForm(image: string, asked: EngineName | 'auto', path: string | undefined) {
  const file = serviceSif(image);
  if (file) {
    // A wrong name is told before hours of staging.
    imageFileName(file.location.scheme, file.location.authority + file.location.path, '');
    return { image, engine: findEngine(asked, 'sif', path), form: 'sif' as const, pull: 'sif' as const };
  }
  const known = shifterName(image, asked);
  if (known !== undefined) {
    return { image: known, form: 'name' as const, engine: findEngine('shifter', 'name', path) };
  }
  const elsewhere = fileElsewhere(image);
  if (elsewhere?.place) {
    const form = /\.(?:sif|simg|img|sqfs|squashfs)$/i.test(elsewhere.path) ? 'sif' : 'archive';
    return { image, ...likely(form, asked, path), pull: 'file' as const } as const;
  }
  if (!/^(docker|oci):\/\//i.test(image)) {
    const look = formOf(elsewhere?.path ?? image);
    return { ...look, engine: findEngine(asked, look.form, path) };
  }
  registryImage(image);
  const engine = findEngine(asked, 'archive', path);
  const makesSif = engine.name === 'apptainer' || engine.name === 'singularity';
  if (!makesSif) return { image, engine, form: 'archive' as const, pull: 'hybrid' as const };
  findPacker(path ?? '');
  return { image, engine, form: 'sif' as const, pull: 'sif' as const };
}

/** A file at a service that is spoken here, or of this machine by its URL; other schemes are the engines' own. */
function fileElsewhere(image: string) {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(image)?.[1]?.toLowerCase() ?? '';
  return knownSchemes().includes(scheme) ? filePlace(image) : undefined;
}

/** Names mislead: an engine for the other kind will do until the file is here. */
function likely(form: 'sif' | 'archive', asked: EngineName | 'auto', path: string | undefined) {
  try {
    return { form, engine: findEngine(asked, form, path) };
  } catch (error) {
    if (asked !== 'auto') throw error;
    const other = form === 'sif' ? 'archive' : 'sif';
    return { form: other, engine: findEngine(asked, other, path) } as const;
  }
}

/**
 * What was fetched is, by what is in it, and the best engine for that. Throws `invalid-request` where the one that was
 * asked for cannot run it, `not-found` where none is here.
 */
export function chooseForFetched(
  { search: { asked, path } }: ContainerChoice,
  file: string,
): Pick<ContainerChoice, 'form' | 'engine'> {
  const { form } = formOf(file);
  return { form, engine: findEngine(asked, form, path) };
}

/** shifter gets images into its own store; it is told their names as `[KIND:]NAME`. */
function shifterName(image: string, asked: EngineName | 'auto'): string | undefined {
  const [, kind, name] = /^(shifter|docker):\/+(.+)$/is.exec(image) ?? [];
  if (kind === undefined || name === undefined) return undefined;
  if (kind.toLowerCase() === 'shifter') return name;
  return asked === 'shifter' ? `docker:${name}` : undefined;
}

/** A path that is there is a file or directory; anything else is a name. */
function formOf(image: string): { readonly image: string; readonly form: ImageForm } {
  const path = resolve(image);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return { image, form: 'name' };
  if (stat.isDirectory()) return { image: path, form: 'directory' };
  const head = firstBytes(path, HEAD_BYTES) ?? new Uint8Array();
  return { image: path, form: beginsAsSif(head) || beginsAsSquashfs(head) ? 'sif' : 'archive' };
}

function orderOf(choice: ContainerChoice, place: ContainerPlace): ContainerOrder {
  const { engine, image, form, more } = choice;
  return {
    program: engine.program,
    init: engine.init,
    image,
    form,
    ...(form === 'directory' ? { isReadOnly: !isWritable(image) } : {}),
    more,
    name: containerName(),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    hasMoreIds: engine.name === 'podman' && hasSubordinateIds(),
    ...place,
  };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Brings the image in. Rejects when it cannot be. */
export function openJobContainer(
  choice: ContainerChoice,
  order: Pick<RunOrder, 'values'>,
  state: Run,
  { directory, signal }: { readonly directory: string; readonly signal: AbortSignal },
): Promise<Container> {
  return openContainer(choice.engine.name, orderOf(choice, placeOf(order, state, directory)), {
    environment: environmentOf(state),
    signal,
    say: state.say,
  });
}

/** The engine is called with the environment of the job. */
function environmentOf({ environment }: Run): Record<string, string> {
  return Object.fromEntries(
    environment.entries().map((entry) => {
      const at = entry.indexOf('=');
      return [readable(entry.slice(0, at)), readable(entry.slice(at + 1))];
    }),
  );
}

/** What would be run, a command line a line, as a shell would take it. */
export function dryRunLines(
  choice: ContainerChoice | undefined,
  order: Pick<RunOrder, 'values' | 'command'>,
  state: Run,
  directory: string,
): string[] {
  const command = order.command.map((word) => readable(word)) as [string, ...string[]];
  if (!choice) return [shellLine(command)];
  const { pull } = choice;
  const ready = pull ? { ...choice, image: 'IMAGE-AS-PULLED' } : choice;
  const plan = planContainer(choice.engine.name, orderOf(ready, placeOf(order, state, directory)));
  const image = plan.load ? 'IMAGE-AS-LOADED' : ready.image;
  const pulling: CommandLine | undefined = pull && [
    ...(pull === 'file'
      ? (['bridle', 'cp'] as const)
      : (['bridle', 'image', 'pull', '--format', pull] as const)),
    nameWithoutLogin(choice.image),
    ready.image,
  ];
  return [pulling, plan.load, plan.run(image, command), plan.remove].flatMap((line) =>
    line ? [shellLine(line)] : [],
  );
}

function nameWithoutLogin(image: string): string {
  const file = serviceSif(image) ?? fileElsewhere(image)?.place;
  if (file) return formatLocation(file.location);
  return `docker://${formatReference(registryImage(image).reference)}`;
}
