import fs from 'node:fs';
import { join } from 'node:path';
import type { ByteText } from '../../src/job/byte-text.ts';
import type { Model } from './layer-model.ts';

/** Lays files around `root` that nobody may touch: beside it, above it, linked to one another. */
export function layCanaries(directory: string): { readonly root: string; readonly outside: string } {
  const outside = join(directory, 'outside');
  fs.mkdirSync(join(outside, 'dir'), { recursive: true });
  fs.mkdirSync(join(directory, 'private'));
  fs.writeFileSync(join(outside, 'file'), 'precious', { mode: 0o640 });
  fs.writeFileSync(join(outside, 'dir/file'), 'more', { mode: 0o600 });
  fs.symlinkSync('file', join(outside, 'link'));
  fs.linkSync(join(outside, 'file'), join(directory, 'private/file'));
  return { root: join(directory, 'private/rootfs'), outside };
}

/** Everything about a tree that somebody could change, but for access times. */
export function stateOf(path: string): string {
  const lines: string[] = [];
  const look = (name: ByteText): void => {
    const full = under(path, name);
    const { mode, uid, gid, mtimeMs, ctimeMs, nlink, ino } = fs.lstatSync(full);
    const content =
      (mode & fs.constants.S_IFMT) === fs.constants.S_IFREG ? fs.readFileSync(full, 'latin1') : '';
    lines.push([name, mode, uid, gid, mtimeMs, ctimeMs, nlink, ino, content].join(' '));
    if ((mode & fs.constants.S_IFMT) !== fs.constants.S_IFDIR) return;
    for (const one of fs.readdirSync(full, 'latin1').sort()) look(name === '' ? one : `${name}/${one}`);
  };
  look('');
  return lines.join('\n');
}

const under = (path: string, name: ByteText): Buffer =>
  Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, 'latin1')]);

/** What lies in the directory, a line each: type, mode, owner, time, target, content, and the first name of a file. */
export function linesOfTree(root: string): string[] {
  const lines: string[] = [];
  const firsts = new Map<number, ByteText>();
  const look = (name: ByteText): void => {
    const full = under(root, name);
    const stat = fs.lstatSync(full);
    const type = TYPES.find(([, is]) => is(stat))?.[0] ?? 'unknown';
    const first = firsts.get(stat.ino) ?? name;
    firsts.set(stat.ino, first);
    lines.push(
      line(name, first, {
        type,
        mode: stat.mode & 0o7777,
        uid: stat.uid,
        gid: stat.gid,
        modified: stat.mtimeMs / 1000,
        link: type === 'symlink' ? fs.readlinkSync(full, 'latin1') : '',
        data: type === 'file' ? fs.readFileSync(full, 'latin1') : '',
      }),
    );
    if (type !== 'directory') return;
    for (const one of fs.readdirSync(full, 'latin1')) look(name === '' ? one : `${name}/${one}`);
  };
  look('');
  return settled(lines);
}

const TYPES: readonly (readonly [string, (stat: fs.Stats) => boolean])[] = [
  ['file', (stat) => stat.isFile()],
  ['directory', (stat) => stat.isDirectory()],
  ['symlink', (stat) => stat.isSymbolicLink()],
  ['fifo', (stat) => stat.isFIFO()],
  ['character', (stat) => stat.isCharacterDevice()],
  ['block', (stat) => stat.isBlockDevice()],
];

type Shown = { readonly [Key in 'type' | 'link' | 'data']: string } & {
  readonly [Key in 'mode' | 'uid' | 'gid' | 'modified']: number;
};

const line = (name: ByteText, first: ByteText, node: Shown): string => {
  const { type, uid, gid, modified, link, data } = node;
  const mode = type === 'symlink' ? '' : node.mode.toString(8);
  return JSON.stringify([name, type, mode, uid, gid, modified, link, data, type === 'file' ? first : '']);
};

/** The first of several names is the first by their bytes, whoever met which first. */
function settled(lines: readonly string[]): string[] {
  const all = lines.map((one) => JSON.parse(one) as string[]);
  const least = new Map<string, string>();
  for (const [name = '', , , , , , , , first = ''] of all) {
    const known = least.get(first);
    if (known === undefined || name < known) least.set(first, name);
  }
  return all.map((one) => JSON.stringify([...one.slice(0, 8), least.get(one[8] ?? '')])).sort();
}

export interface Taken {
  readonly setuid: boolean;
  readonly devices: boolean;
}

/** The lines of the tree that root's extraction of the model has to leave. */
export function linesOfModel(model: Model, { setuid, devices }: Taken): string[] {
  const firsts = new Map<object, ByteText>();
  const lines: string[] = [];
  for (const [name, node] of model) {
    if (!devices && (node.type === 'character' || node.type === 'block')) continue;
    const mode = setuid || node.type === 'directory' ? node.mode : node.mode & ~0o6000;
    // Implied directories share one object and are no links of each other.
    const first = node.type === 'directory' ? name : (firsts.get(node) ?? name);
    firsts.set(node, first);
    lines.push(line(name, first, { ...node, mode }));
  }
  return settled(lines);
}
