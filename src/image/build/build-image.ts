import { existsSync } from 'node:fs';
import { TransferError, toTransferError } from '../../errors.ts';
import { writerLives } from '../../local/writer.ts';
import {
  type BuildOrder,
  type BuildPlan,
  listTemporary,
  planBuild,
  removeTemporary,
  temporaryWriter,
} from './plan.ts';
import { type BuilderCall, runBuilder } from './run-builder.ts';

export interface BuildSetting extends Pick<BuilderCall, 'environment' | 'onLine'> {
  readonly signal: AbortSignal;
  /** Told what could not be taken away. */
  readonly warn: (message: string) => void;
}

/**
 * Builds an image: it lies in the order's `output` then, as an archive or a SIF file. Nothing of it stays with the engine
 * but what that keeps for the next build. Rejects as `planBuild` and `runBuilder` do.
 */
export async function buildImage(order: BuildOrder, setting: BuildSetting): Promise<void> {
  const plan = planBuild(order);
  const { directory, steps } = plan;
  const { environment, signal, onLine } = setting;
  if (plan.remove) await removeOrphans(order, directory, setting);
  let isBuilt = false;
  try {
    for (const line of steps) {
      await runBuilder(line, { directory, environment, signal, onLine });
      isBuilt = true;
    }
  } finally {
    // What did not build has made none, as far as is known.
    await remove(plan, isBuilt ? setting : { ...setting, warn: () => undefined });
  }
  if (existsSync(order.output)) return;
  throw new TransferError('unexpected', `\`${order.builder.program}\` ended well, and built no image`);
}

async function remove(
  { remove: line, directory }: BuildPlan,
  { environment, warn }: BuildSetting,
): Promise<void> {
  if (!line) return;
  try {
    await runBuilder(line, { directory, environment });
  } catch (error) {
    warn(`removing \`${line.at(-1)}\`: ${toTransferError(error, 'running it').message}`);
  }
}

/** Images of runs that were killed. Of other machines' nothing is known. */
async function removeOrphans(
  { builder }: BuildOrder,
  directory: string,
  { environment, signal }: BuildSetting,
): Promise<void> {
  // What is wrong with the engine is told by the build.
  const listed = await runBuilder(listTemporary(builder), { directory, environment, signal }).catch(() => '');
  for (const name of listed.split('\n')) {
    const writer = temporaryWriter(name);
    if (writer === undefined || writerLives(writer, Date.now(), Date.now())) continue;
    await runBuilder(removeTemporary(builder, name), { directory, environment, signal }).catch(() => '');
  }
}
