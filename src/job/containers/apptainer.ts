import type { ContainerOrder, ContainerPlan } from './order.ts';

/** As PegasusLite has it. */
const INSIDE = '/srv';
const MARKER = '.bridle-started';

/** Tells that the container is up, then becomes the job. What apptainer itself fails with (255) a job may return, too. */
const REACHED = ': >"$0" && exec "$@"';
/** Places on this machine, which need not be there inside, and what stands for them. */
const OUTSIDE = {
  HOME: `export HOME=${INSIDE}`,
  TMPDIR: 'unset TMPDIR',
  TMP: 'unset TMP',
  TEMP: 'unset TEMP',
};

/**
 * apptainer and singularity (`apptainer exec`), with the flags of PegasusLite: no home directory, the work directory in
 * {@link INSIDE}, and that as home; they pass the rest of the environment on by themselves.
 */
export function apptainerPlan(engine: 'apptainer' | 'singularity', order: ContainerOrder): ContainerPlan {
  const { program, directory, mounts, variables, more } = order;
  const kept = Object.entries(OUTSIDE).filter(([name]) => !variables.includes(name));
  return {
    engine,
    inside: INSIDE,
    marker: MARKER,
    run: (image, command) => [
      program,
      'exec',
      '--no-home',
      ...(order.gpus ? ['--nv'] : []),
      '--bind',
      `${directory}:${INSIDE}`,
      ...mounts.flatMap((mount) => ['--bind', mount]),
      '--pwd',
      INSIDE,
      ...more,
      order.form === 'archive' ? `docker-archive:${image}` : image,
      '/bin/sh',
      '-c',
      [...kept.map(([, instead]) => instead), REACHED].join('; '),
      `${INSIDE}/${MARKER}`,
      ...command,
    ],
  };
}
