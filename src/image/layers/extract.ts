import fs from 'node:fs';
import { errnoOf, TransferError, toTransferError } from '../../errors.ts';
import { type ByteText, toBytes } from '../../job/byte-text.ts';
import { makeScratchDirectory } from '../../local/scratch-directory.ts';
import type { Bytes } from '../../protocol.ts';
import type { Entry, Member } from '../tar/member.ts';
import { readTar } from '../tar/read.ts';
import {
  dress,
  failed,
  type Notes,
  notes,
  OWN_DIRECTORY,
  placeFile,
  placeOther,
  type Takeover,
} from './place-member.ts';
import { type SpecialCalls, specialCalls } from './special.ts';
import {
  type Directory,
  emptyDirectory,
  enter,
  isDirectory,
  type Leaf,
  type Node,
  type Place,
  partsOf,
  refused,
  requireOwner,
} from './tree.ts';

export interface ExtractOptions extends Partial<Takeover> {
  readonly signal?: AbortSignal;
}

export interface Extracted {
  readonly members: number;
  /** Of file content, as its readers see it. */
  readonly bytes: number;
  /** What was left out or could not be set, a sentence each. */
  readonly notes: readonly string[];
}

/** What is known of a member that lies in the directory: directories are dressed once all is in them. */
type Placed = { readonly member: Member; readonly isThere: boolean };

/**
 * The members of `tar` lie in the directory `root`, which must be absent or empty. They are put into a private directory
 * beside it, which takes its name once all is there; on a failure nothing is left. Nothing outside is touched: parents
 * are looked up among the members before, never in the file system, links to the outside are made and not followed, and
 * names and hard links that lead out are refused.
 *
 * `owners` (as root when not said): owners as the archive says, otherwise all is the caller's, who can read and remove
 * it. `setuid`: bits and capabilities that lend power, not unless said. `devices`: only as root, not unless said. Times
 * and modes are taken over, attributes as far as the file system takes them. Rejects as `readTar` does, with
 * `already-exists` when `root` has members, and with what the file system says. Memory grows with the number of names.
 */
export async function extract(tar: Bytes, root: string, options: ExtractOptions = {}): Promise<Extracted> {
  const { owners = process.geteuid?.() === 0, setuid = false, devices = false, signal } = options;
  refuseFilled(root);
  const scratch = await makeScratch(root);
  try {
    const tree = rootfs(scratch.path, { owners, setuid, devices });
    for await (const entry of readTar(tar)) {
      if (signal?.aborted) throw new TransferError('canceled', `extracting into \`${root}\`: canceled`);
      await tree.add(entry);
    }
    const extracted = tree.finish();
    fs.renameSync(scratch.name, root);
    return extracted;
  } catch (error) {
    throw toTransferError(error, `extracting into \`${root}\``);
  } finally {
    fs.closeSync(scratch.fd);
    await scratch.close();
  }
}

/** Throws `already-exists` for a directory with members, and for what is none. */
export function refuseFilled(root: string): void {
  try {
    if (fs.lstatSync(root).isDirectory() && fs.readdirSync(root).length === 0) return;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw toTransferError(error, `extracting into \`${root}\``);
  }
  throw new TransferError('already-exists', `extracting into \`${root}\`: it is no empty directory`, {
    hint: 'name a new directory, or an empty one',
  });
}

/** A directory that only we can enter, also by a path that stays its own whoever renames what is above. */
async function makeScratch(root: string) {
  const { path: name, close } = await makeScratchDirectory(root);
  try {
    const fd = fs.openSync(name, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW);
    const held = `/proc/self/fd/${fd}`;
    return { name, fd, path: fs.existsSync(`${held}/.`) ? held : name, close };
  } catch (error) {
    await close();
    throw toTransferError(error, `extracting into \`${root}\``);
  }
}

/** The directory at `base` as the members before have made it. */
function rootfs(base: string, takeover: Takeover) {
  const tree = emptyDirectory<Placed>();
  const special: SpecialCalls = specialCalls();
  const left: Notes = notes();
  let members = 0;
  let bytes = 0;

  const pathOf = (parts: readonly ByteText[]): Buffer =>
    Buffer.concat([Buffer.from(`${base}/`), toBytes(parts.join('/'))]);

  function remove(parts: readonly ByteText[], there: Node<Placed> | undefined): void {
    if (there) fs.rmSync(pathOf(parts), { recursive: true, force: true });
  }

  function makeDirectory(parent: Place<Placed>, name: ByteText): Directory<Placed> {
    const parts = [...parent.path, name];
    remove(parts, parent.directory.children.get(name));
    fs.mkdirSync(pathOf(parts), OWN_DIRECTORY);
    const made = emptyDirectory<Placed>();
    parent.directory.children.set(name, made);
    return made;
  }

  async function place(entry: Entry, parent: Place<Placed>, name: ByteText): Promise<void> {
    const parts = [...parent.path, name];
    const there = parent.directory.children.get(name);
    const facts = factsOf(entry);
    if (entry.type === 'directory') {
      const directory = isDirectory(there) ? there : makeDirectory(parent, name);
      directory.facts = facts;
      return;
    }
    // Looked up first: it may be the very name that is replaced.
    const target = entry.type === 'hardlink' ? linked(entry) : undefined;
    if (target && target.leaf === there) return;
    if (target) {
      if (target.leaf.facts.isThere) link(pathOf(target.parts), parts, there);
      else remove(parts, there);
      parent.directory.children.set(name, target.leaf);
      return;
    }
    remove(parts, there);
    parent.directory.children.delete(name);
    const path = pathOf(parts);
    let isThere = true;
    if (entry.type === 'file') await placeFile(path, entry);
    else isThere = placeOther(path, entry, takeover, special, left);
    if (isThere) dress(path, entry, takeover, special, left);
    const leaf = { facts: { ...facts, isThere } };
    parent.directory.children.set(name, entry.type === 'symlink' ? { ...leaf, symlink: entry.link } : leaf);
    bytes += entry.size;
  }

  function link(file: Buffer, parts: readonly ByteText[], there: Node<Placed> | undefined): void {
    const path = pathOf(parts);
    if (!isDirectory(there)) {
      remove(parts, there);
      fs.linkSync(file, path);
      return;
    }
    // The file may lie in the directory that is replaced.
    let name = '.linked';
    while (tree.children.has(name)) name += '-';
    fs.linkSync(file, pathOf([name]));
    remove(parts, there);
    fs.renameSync(pathOf([name]), path);
  }

  function linked(entry: Entry): { leaf: Leaf<Placed>; parts: readonly ByteText[] } {
    const parts = partsOf(entry.link);
    const parent = enter(tree, parts.slice(0, -1), () => undefined);
    const name = parts.at(-1) ?? '';
    const leaf = parent?.directory.children.get(name);
    if (!parent || !leaf || isDirectory(leaf)) throw refused(entry.name, 'is a link to what is no file');
    return { leaf, parts: [...parent.path, name] };
  }

  function finish(): Extracted {
    const ahead: { parts: readonly ByteText[]; directory: Directory<Placed> }[] = [
      { parts: [], directory: tree },
    ];
    // Those below first: what is dressed may be closed to us.
    const order: typeof ahead = [];
    for (let next = ahead.pop(); next; next = ahead.pop()) {
      order.push(next);
      for (const [name, node] of next.directory.children) {
        if (isDirectory(node)) ahead.push({ parts: [...next.parts, name], directory: node });
      }
    }
    for (const { parts, directory } of order.reverse()) {
      dress(pathOf(parts), directory.facts?.member ?? PLAIN_DIRECTORY, takeover, special, left);
    }
    return { members, bytes, notes: left.all() };
  }

  return {
    add: async (entry: Entry): Promise<void> => {
      const parts = partsOf(entry.name);
      const name = parts.at(-1);
      if (takeover.owners) requireOwner(entry);
      members += 1;
      try {
        if (name !== undefined) {
          const parent = enter(tree, parts.slice(0, -1), makeDirectory);
          if (parent) await place(entry, parent, name);
        } else if (entry.type === 'directory') tree.facts = factsOf(entry);
        else throw refused(entry.name, 'is the root and no directory');
      } catch (error) {
        throw failed(error, entry);
      }
    },
    finish,
  };
}

const factsOf = ({ body: _, stored: _stored, extents: _extents, ...member }: Entry): Placed => ({
  member,
  isThere: true,
});

/** What no member speaks of. */
const PLAIN_DIRECTORY: Member = {
  name: '.',
  type: 'directory',
  size: 0,
  mode: 0o755,
  uid: 0,
  gid: 0,
  modified: 0,
  link: '',
  major: 0,
  minor: 0,
  xattrs: new Map(),
};
