import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * The first of `names` that is an executable file in one of the directories of `path`, which is as `PATH` is; what is
 * relative in it is passed over. Undefined when there is none.
 */
export function findProgram<N extends string>(
  names: readonly N[],
  path: string,
): { readonly name: N; readonly file: string } | undefined {
  const directories = path.split(delimiter).filter((directory) => directory.startsWith('/'));
  for (const name of names) {
    const file = directories.map((directory) => join(directory, name)).find(isProgram);
    if (file !== undefined) return { name, file };
  }
  return undefined;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
