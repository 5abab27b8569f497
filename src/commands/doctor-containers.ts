import { existsSync } from 'node:fs';
import { openPlace } from '../cache/place.ts';
import { toTransferError } from '../errors.ts';
import { findProgram } from '../find-program.ts';
import { BUILDERS } from '../image/build/builder.ts';
import { findPacker } from '../image/sif/packer.ts';
import { ENGINES } from '../job/containers/engine.ts';
import { hasSubordinateIds } from '../job/containers/subordinate-ids.ts';
import type { Environment } from '../request.ts';
import type { Fact } from './doctor-machine.ts';

/** What this machine has for container images and the jobs in them. That there is nothing is not wrong: few need it. */
export function containerFacts(env: Environment): readonly Fact[] {
  const path = env.PATH ?? '';
  const found = ENGINES.flatMap((name) => findProgram([name], path)?.file ?? []);
  const isAlone =
    found.some((file) => file.endsWith('/podman')) && process.geteuid?.() !== 0 && !hasSubordinateIds();
  const engines = found.length === 0 ? `none of ${ENGINES.join(', ')} in PATH` : found.join(' ');
  return [
    {
      label: 'containers',
      text: `${engines}${isAlone ? ' (no subordinate ids: jobs in podman are root inside)' : ''}`,
    },
    { label: 'builders', text: buildersIn(path) },
    sifFact(path),
    ...(env.BRIDLE_CACHE ? [cacheFact(env.BRIDLE_CACHE)] : []),
  ];
}

function buildersIn(path: string): string {
  const found = BUILDERS.flatMap((name) => findProgram([name], path)?.file ?? []);
  return found.length === 0 ? `none of ${BUILDERS.join(', ')} in PATH` : found.join(' ');
}

function sifFact(path: string): Fact {
  try {
    return { label: 'SIF files', text: `made by ${findPacker(path).file}` };
  } catch (error) {
    return { label: 'SIF files', text: toTransferError(error, 'looking').message };
  }
}

function cacheFact(directory: string): Fact {
  if (!existsSync(directory)) return { label: 'cache', text: directory };
  try {
    openPlace(directory);
    return { label: 'cache', text: directory };
  } catch (error) {
    const { message, hint } = toTransferError(error, 'looking');
    return { label: 'cache', text: message, isWrong: true, hint };
  }
}
