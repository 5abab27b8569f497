import { TransferError } from '../../errors.ts';
import type { ByteText } from '../../job/byte-text.ts';
import { toBytes } from '../../job/byte-text.ts';
import type { Member } from '../tar/member.ts';
import {
  type Directory,
  emptyDirectory,
  enter,
  isDirectory,
  type Leaf,
  partsOf,
  refused,
  requireOwner,
} from './tree.ts';
import { type Meaning, meaningOf } from './whiteout.ts';

/** What is kept of a member while its body waits to be read. */
export interface Facts extends Omit<Member, 'name' | 'extents'> {
  /** Which layer, lowest 0, and which of its members has the body. */
  readonly layer: number;
  readonly ordinal: number;
  /** The body of a member that belongs to no layer. */
  readonly data?: Uint8Array;
}

export interface MergeLimits {
  /** Files, directories and links of all layers together; 2,000,000 without, which take some 500 MiB. */
  readonly names?: number;
}

/** Text that members may have in names, links and attributes together: as much as all their names may take in memory. */
const MOST_TEXT = 256 * 1024 * 1024;
const MOST_NAMES = 2_000_000;

/** All that layers put one upon the other make, as names and what is known of each. */
export interface Merged {
  readonly root: Directory<Facts>;
  /** Begins the next layer up: it adds members, and {@link Merging.end} puts them into the tree. */
  layer(): Merging;
}

/** A member that belongs to no layer: its body, and whether it gives way to what is there. */
export interface Added {
  readonly data: Uint8Array;
  readonly isFallback: boolean;
}

export interface MergeOptions {
  readonly limits?: MergeLimits;
  readonly keepsAttribute?: (name: ByteText) => boolean;
}

export interface Merging {
  /** What is kept of the member; undefined when it says something of lower layers. */
  add(member: Member, ordinal: number, added?: Added): Facts | undefined;
  /** Whiteouts first, wherever they stand in the layer: they hide what lower layers have, and nothing of their own. */
  end(): void;
}

export function merged({ limits = {}, keepsAttribute = () => true }: MergeOptions = {}): Merged {
  const { names: most = MOST_NAMES } = limits;
  const root = emptyDirectory<Facts>();
  let layers = 0;
  let names = 0;
  let text = 0;

  function count(bytes: number): void {
    names += 1;
    text += bytes;
    if (names <= most && text <= MOST_TEXT) return;
    throw new TransferError('invalid-request', `flattening layers: they have more than ${most} names`);
  }

  const implicit: Parameters<typeof enter<Facts>>[2] = ({ directory }, name) => {
    count(0);
    const made = emptyDirectory<Facts>();
    directory.children.set(name, made);
    return made;
  };
  const absent = () => undefined;

  function hide(meaning: Meaning, made: ReadonlySet<ByteText>): void {
    if (meaning.kind === 'member' || meaning.kind === 'ignored') return;
    const { parent } = meaning;
    if (isInNew(parent, made)) return;
    const children = enter(root, parent, absent)?.directory.children;
    if (meaning.kind === 'opaque') children?.clear();
    else children?.delete(meaning.hidden);
  }

  /**
   * A directory that the layer itself puts in the place of a link, or what lies below: it has nothing of lower layers, and
   * what the link led to stays. Layers made from an overlay call such a directory opaque.
   */
  function isInNew(parent: readonly ByteText[], made: ReadonlySet<ByteText>): boolean {
    return parent.some((name, at) => {
      if (!made.has(parent.slice(0, at + 1).join('/'))) return false;
      const there = enter(root, parent.slice(0, at), absent)?.directory.children.get(name);
      return there !== undefined && 'symlink' in there;
    });
  }

  function put(parts: readonly ByteText[], name: ByteText, facts: Facts): void {
    const last = parts.at(-1);
    if (last === undefined) {
      if (facts.type !== 'directory') throw refused(name, 'is the root and no directory');
      root.facts = facts;
      return;
    }
    const parent = enter(root, parts.slice(0, -1), implicit)?.directory;
    if (!parent) return;
    const there = parent.children.get(last);
    if (facts.type === 'directory') {
      if (isDirectory(there)) there.facts = facts;
      else parent.children.set(last, { children: new Map(), facts });
    } else if (facts.type === 'hardlink') {
      parent.children.set(last, target(facts.link, name));
    } else {
      parent.children.set(last, facts.type === 'symlink' ? { facts, symlink: facts.link } : { facts });
    }
  }

  function isThere(parts: readonly ByteText[]): boolean {
    const last = parts.at(-1);
    if (last === undefined) return root.facts !== undefined;
    return enter(root, parts.slice(0, -1), absent)?.directory.children.has(last) === true;
  }

  /** What a hard link is another name of: in this layer or below it, never through a link at its end. */
  function target(link: ByteText, name: ByteText): Leaf<Facts> {
    const parts = partsOf(link);
    const node = enter(root, parts.slice(0, -1), absent)?.directory.children.get(parts.at(-1) ?? '');
    if (!node || isDirectory(node)) throw refused(name, 'is a link to what is no file');
    return node;
  }

  return {
    root,
    layer: () => {
      const layer = layers++;
      const hidden: Meaning[] = [];
      const members: { parts: readonly ByteText[]; name: ByteText; facts: Facts; isFallback: boolean }[] = [];
      return {
        add: ({ name, extents: _, ...member }, ordinal, added) => {
          // A part of a string keeps the whole of it: here that of an extended header.
          const own = copied(name);
          const parts = partsOf(own);
          const meaning = meaningOf(parts, own);
          requireOwner({ ...member, name: own });
          count(own.length + member.link.length);
          if (meaning.kind !== 'member') {
            hidden.push(meaning);
            return undefined;
          }
          const kept = [...member.xattrs].filter(([key]) => keepsAttribute(key));
          const xattrs = kept.length === 0 ? NO_ATTRIBUTES : new Map(kept.map(copiedPair));
          for (const [key, value] of xattrs) text += key.length + value.length;
          const { data, isFallback = false } = added ?? {};
          const link = copied(member.link);
          const facts = { ...member, link, xattrs, layer, ordinal, ...(data ? { data } : {}) };
          members.push({ parts, name: own, facts, isFallback });
          return facts;
        },
        end: () => {
          const made = new Set(hidden.length === 0 ? [] : members.filter(isOfDirectory).map(pathOf));
          for (const one of hidden) hide(one, made);
          for (const { parts, name, facts, isFallback } of members) {
            if (!isFallback || !isThere(parts)) put(parts, name, facts);
          }
        },
      };
    },
  };
}

const isOfDirectory = ({ facts }: { readonly facts: Facts }): boolean => facts.type === 'directory';
const pathOf = ({ parts }: { readonly parts: readonly ByteText[] }): ByteText => parts.join('/');

/** One for all: most members have none. */
const NO_ATTRIBUTES: Facts['xattrs'] = new Map();

const copied = (text: ByteText): ByteText => toBytes(text).toString('latin1');
const copiedPair = ([key, value]: readonly [ByteText, ByteText]) => [copied(key), copied(value)] as const;
