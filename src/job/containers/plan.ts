import { TransferError } from '../../errors.ts';
import { apptainerPlan } from './apptainer.ts';
import { dockerPlan } from './docker.ts';
import type { EngineName } from './engine.ts';
import type { ContainerOrder, ContainerPlan } from './order.ts';
import { shifterPlan } from './shifter.ts';

/** The command lines by which `engine` does what is ordered. Throws `invalid-request` for mounts that cannot be meant. */
export function planContainer(engine: EngineName, order: ContainerOrder): ContainerPlan {
  for (const mount of order.mounts) requireMount(mount);
  // A colon would be read as the end of the path.
  if (/[:;]/.test(order.directory)) {
    throw new TransferError(
      'invalid-request',
      `the work directory: expected a path without \`:\` and \`;\`, which container engines read as the end of it, got \`${order.directory}\``,
    );
  }
  if (engine === 'shifter') return shifterPlan(order);
  if (engine === 'apptainer' || engine === 'singularity') return apptainerPlan(engine, order);
  return dockerPlan(engine, order);
}

function requireMount(mount: string): void {
  const [source, target, ...options] = mount.split(':');
  const isGood = source?.startsWith('/') && target?.startsWith('/') && options.length <= 1;
  if (isGood && !mount.includes(';')) return;
  throw new TransferError(
    'invalid-request',
    `--mount: expected \`/SOURCE:/TARGET[:OPTIONS]\`, got \`${mount}\``,
  );
}
