import { readFileSync } from 'node:fs';

/** Names of users and groups; the number itself where there is no name. */
export interface Accounts {
  user(uid: number | bigint): string;
  group(gid: number | bigint): string;
}

/** Where this system keeps its accounts. */
const FILES = { passwd: '/etc/passwd', group: '/etc/group' } as const;

/** Accounts read from the given files, each read once, when first asked for. A file that cannot be read has no names. */
export function readAccounts(files: { readonly passwd: string; readonly group: string } = FILES): Accounts {
  let users: ReadonlyMap<string, string> | undefined;
  let groups: ReadonlyMap<string, string> | undefined;
  return {
    user(uid) {
      users ??= readNames(files.passwd);
      return users.get(String(uid)) ?? String(uid);
    },
    group(gid) {
      groups ??= readNames(files.group);
      return groups.get(String(gid)) ?? String(gid);
    },
  };
}

/** Number → name of lines such as `name:x:1000:…`; the first line of a number counts, as for getpwuid(3). */
function readNames(path: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const line of readText(path).split('\n')) {
    const [name, , number] = line.split(':');
    if (name && number && !names.has(number)) names.set(number, name);
  }
  return names;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
