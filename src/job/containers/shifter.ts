import type { ContainerOrder, ContainerPlan } from './order.ts';

/** As PegasusLite has it. */
const INSIDE = '/scratch';

/** shifter, as PegasusLite calls it: all mounts in one word, with semicolons; the image by its name on the system. */
export function shifterPlan(order: ContainerOrder): ContainerPlan {
  const { program, directory, mounts, more } = order;
  const volumes = [...mounts, `${directory}:${INSIDE}`].join(';');
  return {
    engine: 'shifter',
    inside: INSIDE,
    run: (image, command) => [
      program,
      '--image',
      image,
      '--volume',
      volumes,
      `--workdir=${INSIDE}`,
      ...more,
      ...command,
    ],
  };
}
