import type { ByteText } from '../../job/byte-text.ts';
import type { Member } from '../tar/member.ts';
import { partsOf } from './tree.ts';
import { meaningOf } from './whiteout.ts';

/** Behind any of these nothing more is foreseen: names, bytes of names, and parts of one, which are looked up one by one. */
const MOST_NAMES = 200_000;
const MOST_TEXT = 32 * 1024 * 1024;
const MOST_PARTS = 100;

/** What distributions make links of, and archives name as if they were directories. */
const OFTEN_LINKS = /^(?:s?bin|lib\w*|var\/(?:run|lock))(?=\/)/;

/** Where a file of a layer is likely to end up, as far as the layers above it tell, the highest read first. */
export interface Foresight {
  /**
   * Takes `member` in. The path of a file with a body that will be there under this name, unless a lower layer has a link
   * on the way to it, or this one more to say of it; undefined for what is hidden, doubtful, or no such file. Throws as
   * `partsOf` and `meaningOf` do.
   */
  next(member: Member): ByteText | undefined;
  /** The layer is over: what it has and hides counts for those below. */
  end(): void;
}

/** Names and what they do to the layers below. */
interface Said {
  /** All members, and the directories on the way to them. */
  readonly names: Set<ByteText>;
  /** What is no directory: nothing of a lower layer is in its place or below. */
  readonly closed: Set<ByteText>;
  /** Whose content in lower layers is hidden. */
  readonly opaque: Set<ByteText>;
}

const nothing = (): Said => ({ names: new Set(), closed: new Set(), opaque: new Set() });

export function foresight(): Foresight {
  const above = nothing();
  let here = nothing();
  let text = 0;
  let isOver = false;
  let hidden: ByteText[] = [];
  let directories = new Set<ByteText>();
  let open = new Map<ByteText, boolean>();

  /** Whether what lies directly in `directory` is seen. */
  function isOpen(directory: ByteText): boolean {
    const known = open.get(directory);
    if (known !== undefined) return known;
    const isSeen =
      !above.closed.has(directory) &&
      !above.opaque.has(directory) &&
      (directory === '' || isOpen(parentOf(directory)));
    open.set(directory, isSeen);
    return isSeen;
  }

  /** Whether this layer itself has something in the way, or the way leads through what may be a link below. */
  function isDoubtful(path: ByteText, directory: ByteText): boolean {
    const link = OFTEN_LINKS.exec(path)?.[0];
    if (link !== undefined && !directories.has(link)) return true;
    for (let at = directory; at !== ''; at = parentOf(at)) if (here.closed.has(at)) return true;
    return here.names.has(path);
  }

  function take(path: ByteText, isDirectory: boolean): void {
    if (isDirectory) directories.add(path);
    else here.closed.add(path);
    for (let at = path; at !== '' && !here.names.has(at); at = parentOf(at)) here.names.add(at);
  }

  return {
    next({ name, type, size }) {
      if (isOver) return undefined;
      const parts = partsOf(name);
      text += name.length;
      isOver =
        text > MOST_TEXT || parts.length > MOST_PARTS || above.names.size + here.names.size > MOST_NAMES;
      if (isOver) return undefined;
      const meaning = meaningOf(parts, name);
      if (meaning.kind === 'opaque') here.opaque.add(meaning.parent.join('/'));
      else if (meaning.kind === 'whiteout') hidden.push([...meaning.parent, meaning.hidden].join('/'));
      if (meaning.kind !== 'member') return undefined;
      const path = parts.join('/');
      const directory = parentOf(path);
      const isForeseen =
        type === 'file' &&
        size > 0 &&
        path !== '' &&
        !above.names.has(path) &&
        !above.closed.has(path) &&
        isOpen(directory) &&
        !isDoubtful(path, directory);
      take(path, type === 'directory');
      return isForeseen ? path : undefined;
    },
    end() {
      for (const path of hidden) above.closed.add(path);
      for (const key of ['names', 'closed', 'opaque'] as const)
        for (const path of here[key]) above[key].add(path);
      here = nothing();
      hidden = [];
      directories = new Set();
      open = new Map();
    },
  };
}

const parentOf = (path: ByteText): ByteText => path.slice(0, Math.max(0, path.lastIndexOf('/')));
