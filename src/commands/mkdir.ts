import type { Request } from '../request.ts';
import type { Io } from './io.ts';
import { MKDIR_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { parsePlaces } from './places.ts';
import { quietRun } from './run-defaults.ts';
import { runAndTell } from './running.ts';

/** `bridle mkdir PLACE...`: an existing directory is fine. */
export async function mkdir(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, MKDIR_OPTIONS, { env: io.env });
  const places = parsePlaces(positionals);
  async function* requests(kind: Request['kind']): AsyncGenerator<Request> {
    if (kind !== 'mkdir') return;
    for (const [index, target] of places.entries()) yield { kind, index, target };
  }
  return runAndTell(quietRun(values, io.env), io, () => ({ total: places.length, requests }));
}
