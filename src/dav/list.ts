import { TransferError } from '../errors.ts';
import { isPartialName } from '../partial-name.ts';
import type { Entry, ListCall } from '../protocol.ts';
import { collectionPath, decode, hrefPath, memberPath, plainPath } from './paths.ts';
import { membersOf } from './propfind.ts';
import type { DavService } from './service.ts';

/** One member of a directory, with the part of a path that names it. */
interface Member {
  readonly part: string;
  readonly entry: Entry;
}

/**
 * What is below the directory, parents before their members, names in byte order. One directory at a time: servers
 * refuse to list a whole tree at once (RFC 4918 §9.1 allows it), or fall over.
 */
export async function* listCollection(
  service: DavService,
  path: string,
  call: ListCall,
): AsyncGenerator<Entry> {
  yield* listBelow(service, collectionPath(path), '', call);
}

async function* listBelow(
  service: DavService,
  path: string,
  below: string,
  call: ListCall,
): AsyncGenerator<Entry> {
  for (const { part, entry } of await readDirectory(service, path, call)) {
    if (call.signal.aborted) return;
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    yield { ...entry, name };
    if (!call.recursive || entry.stat.type !== 'directory' || entry.problem !== undefined) continue;
    yield* listBelow(service, `${path}${part}/`, name, call);
  }
}

async function readDirectory(service: DavService, path: string, call: ListCall): Promise<Member[]> {
  const own = plainPath(path);
  const prefix = own === '/' ? '/' : `${own}/`;
  const members: Member[] = [];
  for await (const { href, stat } of membersOf(service, path, call.signal)) {
    const plain = plainPath(hrefPath(href));
    if (plain === own) {
      if (stat.type === 'directory') continue;
      throw new TransferError('invalid-request', `list \`${service.origin}${path}\`: is no directory`);
    }
    const part = plain.startsWith(prefix) ? plain.slice(prefix.length) : '';
    const name = decode(part);
    if (name !== undefined && isPartialName(name)) continue;
    const isPlain = name !== undefined && part !== '' && !/[/\0]/.test(name) && name !== '.' && name !== '..';
    members.push(
      isPlain
        ? { part, entry: { name, stat } }
        : {
            part,
            entry: { name: memberPath(hrefPath(href)).replace(/^.*\//, ''), stat, problem: problemOf(href) },
          },
    );
  }
  return members.sort((one, other) =>
    Buffer.compare(Buffer.from(one.entry.name), Buffer.from(other.entry.name)),
  );
}

function problemOf(href: string): string {
  return `${JSON.stringify(href.slice(0, 300))}: the server lists what is no name of a file in this directory`;
}
