import fs from 'node:fs';
import { constants } from 'node:os';
import { errnoOf } from '../errors.ts';
import { type ByteText, toPath } from './byte-text.ts';
import { errnoNumber } from './status-text.ts';

/** Where the program is; with an error when it cannot be run. */
export interface Executable {
  readonly path: ByteText;
  readonly errno: number | undefined;
}

const { R_OK, X_OK } = fs.constants;
const EXECUTABLE = 0o555;

/**
 * The program that `name` means: a path as it is, else a file of the working directory, else one in the first of the
 * directories in `searchPath`. A path with a slash is not looked for there: `./count` would become `/usr/bin/./count`. It
 * must be a regular file that can be read and run; with `make`, its mode is changed to that.
 */
export function findExecutable(name: ByteText, searchPath: ByteText | undefined, make: boolean): Executable {
  const path = locate(name, searchPath);
  if (path === undefined) return { path: name, errno: whyNotFile(name) };
  try {
    if (make) makeExecutable(path);
    fs.accessSync(toPath(path), R_OK | X_OK);
    return { path, errno: undefined };
  } catch (error) {
    return { path, errno: errnoNumber(errnoOf(error)) };
  }
}

function locate(name: ByteText, searchPath: ByteText | undefined): ByteText | undefined {
  if (name === '') return undefined;
  if (isFile(name)) return name;
  if (name.includes('/')) return undefined;
  return (searchPath ?? '')
    .split(':')
    .filter((directory) => directory !== '')
    .map((directory) => `${directory}/${name}`)
    .find(isFile);
}

function isFile(path: ByteText): boolean {
  try {
    return fs.statSync(toPath(path)).isFile();
  } catch {
    return false;
  }
}

function whyNotFile(name: ByteText): number {
  try {
    fs.statSync(toPath(name));
    // execve(2) says so of a directory and of whatever else is no regular file.
    return constants.errno.EACCES;
  } catch (error) {
    return errnoNumber(errnoOf(error));
  }
}

function makeExecutable(path: ByteText): void {
  try {
    fs.accessSync(toPath(path), R_OK | X_OK);
  } catch {
    fs.chmodSync(toPath(path), (fs.statSync(toPath(path)).mode & 0o7777) | EXECUTABLE);
  }
}
