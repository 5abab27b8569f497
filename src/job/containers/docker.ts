import type { ContainerOrder, ContainerPlan } from './order.ts';

/** As PegasusLite has it. */
const INSIDE = '/scratch';
/** On every container of ours. */
export const LABEL = 'org.bridle.job';

/**
 * docker and podman (their manuals, `docker-run` and `podman-run(1)`). The image's own entry point is replaced by the
 * job's program. The job is whoever started bridle: with podman and no root, by keeping the user's id in its namespace,
 * or as the namespace's root, which is that user, where it has no other ids. A directory that cannot be written to gets
 * what is made in it laid over it, for as long as the container is there.
 */
export function dockerPlan(engine: 'docker' | 'podman', order: ContainerOrder): ContainerPlan {
  const { program, name, directory, mounts, variables, more } = order;
  return {
    engine,
    inside: INSIDE,
    ...(order.form === 'archive' ? { load: [program, 'load', '--input', order.image] } : {}),
    run: (image, [first, ...rest]) => [
      program,
      'run',
      '--interactive',
      '--name',
      name,
      '--label',
      LABEL,
      ...initOf(engine, order),
      ...userOf(engine, order),
      '--volume',
      `${directory}:${INSIDE}`,
      ...mounts.flatMap((mount) => ['--volume', mount]),
      '--workdir',
      INSIDE,
      ...(order.gpus ? GPUS[engine] : []),
      ...(variables.includes('HOME') ? [] : ['--env', `HOME=${INSIDE}`]),
      ...variables.flatMap((variable) => ['--env', variable]),
      ...more,
      '--entrypoint',
      first,
      ...(order.form === 'directory' ? ['--rootfs', order.isReadOnly ? `${image}:O` : image] : [image]),
      ...rest,
    ],
    inspect: [program, 'inspect', '--format', '{{.State.StartedAt}}', name],
    remove: [program, 'rm', '--force', name],
  };
}

function userOf(engine: 'docker' | 'podman', { uid, gid, hasMoreIds }: ContainerOrder): string[] {
  if (engine === 'docker' || uid === 0) return ['--user', `${uid}:${gid}`];
  return hasMoreIds ? ['--userns', 'keep-id'] : ['--user', '0:0'];
}

/** podman takes the names of the container device interface. */
const GPUS = {
  docker: ['--gpus', 'all'],
  podman: ['--device', 'nvidia.com/gpu=all'],
};

/** docker knows where its own is. */
function initOf(engine: 'docker' | 'podman', { init }: ContainerOrder): string[] {
  if (init === undefined) return [];
  return engine === 'docker' ? ['--init'] : ['--init', '--init-path', init];
}
