import { dirname } from 'node:path';
import { diskKind } from './disk.ts';

/** True for a file that may have to come over a network. */
export function isSlow(path: string): boolean {
  return diskKind(dirname(path)) === 'network';
}
