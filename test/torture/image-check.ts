import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { digestsBelow, type ImageLane, pushedTo, targetOf } from './image-lane.ts';

type Violate = (what: string) => void;
export type There = 'before' | 'new' | 'wrong';

/** Directories of a lane that are to stay, and what the tests put there. */
const OWN = /^(?:in|report|list\.json|cache)(?:\/|$)/;

/** P1: the name has nothing or what it had before, or exactly the new content. */
export async function checkTarget(
  lane: ImageLane,
  { old, chain, which = 0 }: { old: string | undefined; chain: string; which?: number },
  when: string,
  violate: Violate,
): Promise<There> {
  const { verb, format } = lane.traits;
  const wrong = (what: string): There => {
    violate(`${when}, ${what}`);
    return 'wrong';
  };
  if (verb === 'push') return checkPushed(lane, chain, wrong);
  const found = await digestsBelow(targetOf(lane, which));
  if (format === 'oci') return checkLayout(lane, found, wrong);
  const digest = found.get('');
  if (digest === lane.expected.get('')) return 'new';
  return digest === old
    ? 'before'
    : wrong(`the target has ${digest ? 'wrong content' : 'lost its old content'}`);
}

/** Blobs are what their names say whenever they are there, and all are there once the list is. */
function checkLayout(
  { expected }: ImageLane,
  found: ReadonlyMap<string, string>,
  wrong: (what: string) => There,
): There {
  for (const [path, digest] of found) {
    const name = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
    if (name !== undefined && name !== digest) return wrong(`the blob ${name} has wrong content`);
  }
  if (!found.has('index.json')) return 'before';
  for (const [path, digest] of expected) {
    if (found.get(path) !== digest) return wrong(`the layout is listed, and ${path} is wrong or not there`);
  }
  return 'new';
}

async function checkPushed(
  { registry, expected }: ImageLane,
  chain: string,
  wrong: (what: string) => There,
): Promise<There> {
  void expected;
  const base = `http://${registry.open}/v2/${pushedTo(chain)}`;
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  const answer = await fetch(`${base}/manifests/1`, { headers: { accept } });
  const text = await answer.text();
  if (answer.status === 404) return 'before';
  const { config, layers } = JSON.parse(text) as { config: Named; layers: Named[] };
  for (const { digest, size } of [config, ...layers]) {
    const blob = Buffer.from(await (await fetch(`${base}/blobs/${digest}`)).arrayBuffer());
    const has = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
    if (blob.length !== size || has !== digest) return wrong(`the blob ${digest} is wrong or not there`);
  }
  return 'new';
}

interface Named {
  readonly digest: string;
  readonly size: number;
}

/** What the cache would give out has the digest that it is found by. */
export async function checkCache({ cache, expected }: ImageLane, violate: Violate): Promise<void> {
  const folder = join(cache, 'content');
  for (const name of await readdir(folder).catch(() => [])) {
    if (name.endsWith('.json')) continue;
    const path = join(folder, name);
    const facts = await stat(path).catch(() => undefined);
    const note = await readFile(`${path}.json`, 'utf8').catch(() => undefined);
    const isFound = note !== undefined && facts?.mtimeMs === Date.UTC(2000, 0, 1);
    if (!isFound || JSON.parse(note).size !== facts?.size) continue;
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    const wanted = name.startsWith('sha256-') ? name.slice('sha256-'.length) : expected.get('');
    if (digest !== wanted) violate(`the cache would give out ${name}, which is wrong`);
  }
}

/** What is in the lane beside the targets after a run that came to its end: nothing. */
export async function leftOf(lane: ImageLane): Promise<readonly string[]> {
  const names = [0, 1].map((which) => targetOf(lane, which));
  const left: string[] = [];
  const visit = async (at: string, path: string): Promise<void> => {
    if (OWN.test(path) || names.includes(at)) return;
    const entries = await readdir(at, { withFileTypes: true }).catch(() => undefined);
    if (!entries) {
      left.push(path);
      return;
    }
    for (const { name } of entries) await visit(join(at, name), path === '' ? name : `${path}/${name}`);
    const isKept = path === '' || /^(?:out|home|tmp)$/.test(path) || path.startsWith('home/state');
    if (entries.length === 0 && !isKept) left.push(`${path}/`);
  };
  await visit(lane.place.directory, '');
  for (const folder of ['claims', 'new']) {
    for (const name of await readdir(join(lane.cache, folder)).catch(() => []))
      left.push(`cache/${folder}/${name}`);
  }
  return left;
}
