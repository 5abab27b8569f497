import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import { type FaultProxy, startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import type { RunningRegistry } from '../../fixtures/servers/registry.ts';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import type { Ledger } from './ledger.ts';
import { makePlace, type Place } from './place.ts';
import { startProduct } from './product.ts';

const MIB = 1024 * 1024;
/** Sizes of the layers: one goes up in pieces, and all come down side by side. */
const LAYERS = [20 * MIB, 3 * MIB, MIB];
export const IMAGE_BYTES = LAYERS.reduce((sum, size) => sum + size, 0);
/** Bytes a second of one connection. */
const RATE = 32 * MIB;

/** What becomes of an image under the eyes of the harness. */
export interface ImageTraits {
  readonly verb: 'pull' | 'push' | 'convert' | 'cp';
  readonly format: 'hybrid' | 'oci' | 'sif';
  readonly hasCache: boolean;
  /** Two processes at once, which share the cache. */
  readonly isShared: boolean;
  /**
   * What a kill may make the registry send, or be sent, again beside a tenth of the image: what was between the registry
   * and the disk of the three layers under way, or, up, all of those that had come in part.
   */
  readonly mostAgain: number;
}

const PULL = { verb: 'pull', hasCache: false, isShared: false, mostAgain: 12 * MIB } as const;

export const IMAGE_SUBJECTS = {
  'image-hybrid': { ...PULL, format: 'hybrid' },
  'image-oci': { ...PULL, format: 'oci' },
  'image-sif': { ...PULL, format: 'sif' },
  'image-cache': { ...PULL, format: 'hybrid', hasCache: true },
  'image-cache-oci': { ...PULL, format: 'oci', hasCache: true },
  'image-cache-sif': { ...PULL, format: 'sif', hasCache: true },
  'image-shared': { ...PULL, format: 'hybrid', hasCache: true, isShared: true },
  // The rest of a layer is believed only with its beginning, which is fetched again.
  'image-cp': { ...PULL, verb: 'cp', format: 'hybrid', mostAgain: IMAGE_BYTES },
  'image-push': { ...PULL, verb: 'push', format: 'hybrid', mostAgain: IMAGE_BYTES },
  'image-convert': { ...PULL, verb: 'convert', format: 'hybrid' },
  'image-convert-sif': { ...PULL, verb: 'convert', format: 'sif' },
} as const satisfies Readonly<Record<string, ImageTraits>>;

export type ImageSubjectName = keyof typeof IMAGE_SUBJECTS;

/** One image that is moved again and again, between a registry and a directory of its own. */
export interface ImageLane {
  readonly name: string;
  readonly traits: ImageTraits;
  readonly place: Place;
  readonly registry: RunningRegistry;
  readonly proxy: FaultProxy;
  /** The archive that is pushed or converted. */
  readonly source: string;
  readonly cache: string;
  readonly ledger: Ledger;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Digests of what an undisturbed run leaves, by path relative to the target; a file is `''`. */
  readonly expected: ReadonlyMap<string, string>;
  /** Seconds of an undisturbed run. */
  readonly seconds: number;
}

export interface ImageLaneOptions {
  readonly subject: ImageSubjectName;
  readonly index: number;
  readonly seed: number;
  readonly directory: string;
  readonly registry: RunningRegistry;
  readonly ledger: Ledger;
  readonly random: () => number;
}

/** Puts the image where it comes from, and sees what an undisturbed run makes of it and how long that takes. */
export async function makeImageLane(options: ImageLaneOptions): Promise<ImageLane> {
  const { subject, index, seed, directory, registry } = options;
  const traits: ImageTraits = IMAGE_SUBJECTS[subject];
  const place = await makePlace(directory, `${subject}-${index}`);
  const source = join(place.directory, 'in/image.tar');
  await mkdir(join(place.directory, 'in'));
  const layers = LAYERS.map((size, at) => tarOf([{ name: `noise-${at}`, content: noise(size, seed + at) }]));
  await writeImage(makeImage({ layers }), traits.verb === 'convert' ? 'oci-archive' : 'hybrid', source);
  const proxy = await startFaultProxy({ port: Number(registry.open.split(':')[1]) });
  proxy.setRules([{ times: Number.MAX_SAFE_INTEGER, rate: RATE, rateUp: RATE }]);
  const bare: ImageLane = {
    ...options,
    name: `${subject} lane ${index}`,
    traits,
    place,
    proxy,
    source,
    cache: join(place.directory, 'cache'),
    expected: new Map(),
    seconds: 0,
  };
  if (traits.verb !== 'push' && traits.verb !== 'convert') {
    await must(bare, ['image', 'push', '-q', source, `${registry.open}/kill/${subject}-${index}:1`]);
  }
  // The first one warms up what is slow the first time.
  const chain = `${subject}-${index}-before`;
  await must(bare, imageArgs(bare, chain));
  const expected = await digestsBelow(targetOf(bare));
  await rm(targetOf(bare), { recursive: true, force: true });
  await rm(bare.cache, { recursive: true, force: true });
  const began = performance.now();
  await must(bare, imageArgs(bare, `${chain}-again`));
  const seconds = (performance.now() - began) / 1000;
  await rm(targetOf(bare), { recursive: true, force: true });
  await rm(bare.cache, { recursive: true, force: true });
  return { ...bare, expected, seconds };
}

async function must(lane: ImageLane, args: readonly string[]): Promise<void> {
  const { code, stderr } = await startProduct(args, lane.place.env).ended;
  if (code !== 0) throw new Error(`${lane.name}: an undisturbed run ended with ${code}: ${stderr}`);
}

function noise(size: number, seed: number): Buffer {
  return Buffer.concat([...makeContent(size, seed).blocks()]);
}

/** What the run makes: a file, a directory, or for a push nothing on this machine. `which` of two at once. */
export function targetOf({ place, traits }: ImageLane, which = 0): string {
  const name =
    traits.format === 'oci' ? 'layout' : `image-${which}.${traits.format === 'sif' ? 'sif' : 'tar'}`;
  return join(place.directory, 'out', name);
}

/** What a push is for: a repository of its own for each chain of kills, which has no blob yet. */
export function pushedTo(chain: string): string {
  return `kill/${chain.replace(/[^a-z0-9]+/g, '-')}`;
}

/** The command line; `chain` names the image that is pushed. */
export function imageArgs(lane: ImageLane, chain: string, which = 0): string[] {
  const { traits, proxy, source, cache } = lane;
  const host = `127.0.0.1:${proxy.port}`;
  const target = targetOf(lane, which);
  const [subject, index] = [lane.name.split(' ')[0], lane.name.split(' ').at(-1)];
  const name = `${host}/kill/${subject}-${index}:1`;
  const cached = traits.hasCache ? ['--cache', cache] : [];
  if (traits.verb === 'push') return ['image', 'push', '-q', source, `${host}/${pushedTo(chain)}:1`];
  if (traits.verb === 'cp') return ['cp', '-q', `docker://${name}`, target];
  if (traits.verb === 'convert') return ['image', 'convert', '-q', '--format', traits.format, source, target];
  return ['image', 'pull', '-q', '--format', traits.format, ...cached, name, target];
}

/** Digests of the files at `path` and below it, by their paths relative to it; nothing where nothing is. */
export async function digestsBelow(path: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const visit = async (at: string): Promise<void> => {
    const entries = await readdir(at, { withFileTypes: true }).catch(() => undefined);
    if (entries) for (const { name } of entries) await visit(join(at, name));
    else {
      const bytes = await readFile(at).catch(() => undefined);
      if (bytes) found.set(relative(path, at), createHash('sha256').update(bytes).digest('hex'));
    }
  };
  await visit(path);
  return found;
}

/** Old content under the name of the target, half the time; what it has then. */
export async function prepareTarget(lane: ImageLane, which = 0): Promise<string | undefined> {
  const target = targetOf(lane, which);
  await rm(target, { recursive: true, force: true });
  if (lane.random() < 0.5 || lane.traits.format === 'oci' || lane.traits.verb === 'push') return undefined;
  const text = `old content of ${lane.name}\n`;
  await writeFile(target, text);
  return createHash('sha256').update(text).digest('hex');
}
