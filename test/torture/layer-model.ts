import type { ByteText } from '../../src/job/byte-text.ts';
import type { Written } from '../image/archives.ts';

/** What a name of the merged tree stands for. Hard links are one object under several names. */
export interface Modelled {
  readonly type: NonNullable<Written['type']>;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modified: number;
  readonly link: ByteText;
  readonly data: ByteText;
}

/** By paths without links in them, `''` for the root. */
export type Model = Map<ByteText, Modelled>;

/** Why a layer is refused. */
class Refused extends Error {}

const IMPLIED: Modelled = {
  type: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  modified: 0,
  link: '',
  data: '',
};

/**
 * What layers, lowest first, make by the rules of `docs/images-layers.md`, written down once more over plain paths;
 * undefined when they are to be refused. Without `hasWhiteouts` their names are names as any.
 */
export function modelOf(
  layers: readonly (readonly Written[])[],
  { hasWhiteouts }: { readonly hasWhiteouts: boolean },
): Model | undefined {
  const tree: Model = new Map([['', IMPLIED]]);
  try {
    for (const layer of layers) addLayer(tree, layer, hasWhiteouts);
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
  return tree;
}

function addLayer(tree: Model, layer: readonly Written[], hasWhiteouts: boolean): void {
  const members = layer.filter((one) => !hasWhiteouts || !isAboutOthers(one.name));
  const made = new Set(members.filter(isDirectory).map(({ name }) => splitName(name).join('/')));
  for (const one of layer) if (!members.includes(one)) hide(tree, one.name, made);
  for (const one of members) place(tree, one);
}

const isDirectory = ({ name, type }: Written): boolean =>
  type === 'directory' || (type === undefined && name.endsWith('/'));

/** A whiteout, or one of AUFS's notes. */
const isAboutOthers = (name: ByteText): boolean => {
  const parts = splitName(name);
  return parts.at(-1)?.startsWith('.wh.') === true || parts.some((part) => part.startsWith('.wh..wh.'));
};

function splitName(name: ByteText): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Refused();
  return parts;
}

/** The node that a name says without a link at its end being followed. */
function at(tree: Model, name: ByteText): Modelled | undefined {
  const parts = splitName(name);
  const last = parts.pop();
  const parent = resolve(tree, parts);
  if (parent === undefined) return undefined;
  return tree.get(last === undefined ? parent : below(parent, last));
}

const below = (parent: string, name: string): string => (parent === '' ? name : `${parent}/${name}`);

function clear(tree: Model, path: string): void {
  for (const one of [...tree.keys()]) if (one === path || one.startsWith(`${path}/`)) tree.delete(one);
}

/** The path of the directory to which `parts` lead inside the root, all links followed. */
function resolve(tree: Model, parts: readonly string[], isMaking = false): string | undefined {
  let ahead = [...parts];
  let here: string[] = [];
  for (let links = 0; ahead.length > 0; ) {
    const [part = '', ...rest] = ahead;
    ahead = rest;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      here = here.slice(0, -1);
      continue;
    }
    const path = [...here, part].join('/');
    const node = tree.get(path);
    if (node?.type === 'symlink') {
      links += 1;
      if (links > 40) throw new Refused();
      if (node.link.startsWith('/')) here = [];
      ahead = [...node.link.split('/'), ...ahead];
      continue;
    }
    if (node?.type !== 'directory') {
      if (!isMaking) return undefined;
      clear(tree, path);
      tree.set(path, IMPLIED);
    }
    here = [...here, part];
  }
  return here.join('/');
}

function hide(tree: Model, name: ByteText, made: ReadonlySet<string>): void {
  const parts = splitName(name);
  const last = parts.pop() ?? '';
  const isOpaque = last === '.wh..wh..opq';
  if (!isOpaque && [...parts, last].some((part) => part.startsWith('.wh..wh.'))) return;
  const hidden = last.slice('.wh.'.length);
  if (!isOpaque && ['', '.', '..'].includes(hidden)) throw new Refused();
  // A directory that the layer puts in the place of a link has nothing of lower layers in it.
  const above = parts.map((_, depth) => parts.slice(0, depth + 1).join('/'));
  const isInNew = above.some((path) => made.has(path) && at(tree, path)?.type === 'symlink');
  const parent = isInNew ? undefined : resolve(tree, parts);
  if (parent === undefined) return;
  if (!isOpaque) clear(tree, below(parent, hidden));
  else for (const path of [...tree.keys()]) if (path !== '' && isIn(path, parent)) tree.delete(path);
}

const isIn = (path: string, parent: string): boolean => parent === '' || path.startsWith(`${parent}/`);

function place(tree: Model, written: Written): void {
  const { name, link = '', type = 'file' } = written;
  const parts = splitName(name);
  const last = parts.pop();
  if (last === undefined && !isDirectory(written)) throw new Refused();
  const parent = resolve(tree, parts, true) ?? '';
  const path = last === undefined ? '' : below(parent, last);
  if (type === 'hardlink') {
    const target = at(tree, link);
    if (!target || target.type === 'directory') throw new Refused();
    clear(tree, path);
    tree.set(path, target);
    return;
  }
  if (!(isDirectory(written) && tree.get(path)?.type === 'directory')) clear(tree, path);
  const { mode = isDirectory(written) ? 0o755 : 0o644, uid = 0, gid = 0, modified = 0 } = written;
  const own = isDirectory(written) ? ('directory' as const) : type;
  const rest = { link: type === 'symlink' ? link : '', data: own === 'file' ? filled(written) : '' };
  tree.set(path, { type: own, mode, uid, gid, modified, ...rest });
}

/** The bytes of a file as its readers see it. */
function filled({ data = '', extents, size }: Written): ByteText {
  const stored = Buffer.from(data as string);
  if (!extents) return stored.toString('latin1');
  const whole = Buffer.alloc(size ?? 0);
  let from = 0;
  for (const { offset, length } of extents) {
    stored.copy(whole, offset, from, from + length);
    from += length;
  }
  return whole.toString('latin1');
}
