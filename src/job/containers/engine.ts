import { existsSync } from 'node:fs';
import { TransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';

/** What runs containers here. */
export const ENGINES = ['podman', 'docker', 'apptainer', 'singularity', 'shifter'] as const;
export type EngineName = (typeof ENGINES)[number];

/**
 * What an image is: a tar that `docker load` takes, one file to be mounted, a directory with a root file system, or a
 * name that only the engine itself knows how to find.
 */
export type ImageForm = 'archive' | 'sif' | 'directory' | 'name';

export interface Engine {
  readonly name: EngineName;
  /** Its path. */
  readonly program: string;
  /** The init that it can put before a job. */
  readonly init?: string;
}

/** Best first. The original asks for apptainer before singularity; podman needs no daemon. */
const FOR_FORM: Readonly<Record<ImageForm, readonly EngineName[]>> = {
  archive: ['podman', 'docker', 'apptainer', 'singularity'],
  sif: ['apptainer', 'singularity'],
  directory: ['apptainer', 'singularity', 'podman'],
  name: ['podman', 'docker', 'apptainer', 'singularity', 'shifter'],
};

/** Where Debian, Fedora and the engines' own packages put them. */
const INITS: Readonly<Partial<Record<EngineName, readonly string[]>>> = {
  podman: [
    '/usr/libexec/podman/catatonit',
    '/usr/libexec/catatonit/catatonit',
    '/usr/bin/catatonit',
    '/usr/bin/tini',
  ],
  docker: ['/usr/bin/docker-init', '/usr/libexec/docker/docker-init', '/usr/local/bin/docker-init'],
};

/**
 * The engine to run an image of this form with: the one asked for, else the best that is in `path`. Throws
 * `invalid-request` when it cannot run the form, `not-found` when there is none.
 */
export function findEngine(
  asked: EngineName | 'auto',
  form: ImageForm,
  path = '/usr/local/bin:/usr/bin:/bin',
): Engine {
  const fitting = FOR_FORM[form];
  if (asked !== 'auto' && !fitting.includes(asked)) {
    throw new TransferError(
      'invalid-request',
      `--engine: expected one that runs ${NAMED[form]} (${fitting.join(', ')}), got \`${asked}\``,
    );
  }
  const wanted = asked === 'auto' ? fitting : [asked];
  const found = findProgram(wanted, path);
  if (found) {
    const init = INITS[found.name]?.find((one) => existsSync(one));
    return { name: found.name, program: found.file, ...(init === undefined ? {} : { init }) };
  }
  throw new TransferError('not-found', `running a container: none of ${wanted.join(', ')} is in PATH`, {
    hint: 'install one of them, or add its directory to PATH',
  });
}

const NAMED: Readonly<Record<ImageForm, string>> = {
  archive: 'an archive',
  sif: 'a SIF',
  directory: 'a directory',
  name: 'an image by name',
};
