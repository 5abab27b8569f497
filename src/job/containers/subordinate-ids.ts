import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * Whether this user has subordinate user and group ids (`subuid(5)`, `subgid(5)`), which podman without root needs for
 * keeping the user's own id inside. Accounts from a directory service often have none; a service that hands ids out
 * (`subid` in `nsswitch.conf(5)`) is taken to have some. `etc` is for tests.
 */
export function hasSubordinateIds(etc = '/etc'): boolean {
  if (/^\s*subid:/m.test(textOf(join(etc, 'nsswitch.conf')))) return true;
  const { uid } = userInfo();
  const owners = [String(uid), nameOf(uid, textOf(join(etc, 'passwd')))];
  return ['subuid', 'subgid'].every((file) =>
    textOf(join(etc, file))
      .split('\n')
      .some((line) => owners.includes(line.split(':')[0])),
  );
}

function nameOf(uid: number, passwd: string): string | undefined {
  const line = passwd.split('\n').find((one) => one.split(':')[2] === String(uid));
  return line?.split(':')[0];
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
