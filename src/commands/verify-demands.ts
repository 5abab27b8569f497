import { dirname, relative } from 'node:path';
import { TransferError } from '../errors.ts';
import { findAlgorithm, readDigest as readHex } from '../integrity/manifests/digest-text.ts';
import type { FormatName } from '../integrity/manifests/manifest.ts';
import { isSelfRooted } from '../integrity/manifests/names.ts';
import { openManifest } from '../integrity/manifests/open.ts';
import { createNameSet, type NameSet } from '../integrity/name-set.ts';
import { isLocal } from '../plan.ts';
import type { Digest } from '../protocol.ts';
import type { Place } from '../request.ts';
import type { VerifyTask } from '../verify.ts';
import { lastName, parseArgument } from './arguments.ts';
import { badInput } from './failures.ts';
import type { Visit } from './places.ts';
import { readList } from './read-bytes.ts';
import { readReceiptDemands } from './receipt-demands.ts';
import { manifestSource, sourceOf, type TaskSource, withoutQuarrels } from './verify-sources.ts';

/** Something that stands in the way of a proof, and is no file that was looked at. */
export interface Finding {
  readonly name: string;
  readonly status: 'wrong' | 'unverifiable' | 'extra';
  readonly problem: string;
}

/** What is asked for. */
export interface Demands {
  /** Each place once, many at a time; read from the manifests as they are asked for. */
  tasks(): AsyncGenerator<readonly VerifyTask[]>;
  /** Directories that manifests speak of, with what counts as named there. */
  readonly roots: readonly Root[];
  /** Directories of lists whose names are relative to the current one, where that is another. */
  readonly elsewhere: readonly string[];
}

export interface Root {
  readonly place: Place;
  /** Plain, relative to the place. Only where `isComplete`, or where that is asked for. */
  readonly names: NameSet;
  /** Only what is below this directory counts: `data/` of a bag. */
  readonly within: string;
  /** The format is a complete list by what it says of itself. */
  readonly isComplete: boolean;
}

/** Base64 and other digits, too, to say what is wrong with them. No list is called so: `x:y` is no path here. */
const ALG_HEX = /^([A-Za-z0-9-]+):([0-9A-Za-z+=_-][0-9A-Za-z+/=_-]*)$/;

/** Formats that know files by any path, as `sha256sum -c` takes them, and as ours is written. */
const FREE: ReadonlySet<FormatName> = new Set(['sums', 'bsd', 'json']);

export interface DemandTools extends Visit {
  /** Takes what stands in the way of a proof, as it is found. */
  readonly tell: (finding: Finding) => void;
}

/**
 * Reads what the arguments of `verify` ask for: first of all for what stands in more than one place, for only then is
 * known what counts. Of the rest nothing is kept. Rejects with what ends the command with status 2.
 */
export async function readDemands(
  texts: readonly string[],
  values: {
    readonly format: FormatName | undefined;
    readonly root: string | undefined;
    readonly receipts: string | undefined;
    readonly extra: boolean;
  },
  tools: DemandTools,
): Promise<Demands> {
  const sources: TaskSource[] = [];
  const roots: Root[] = [];
  const elsewhere: string[] = [];
  const { receipts } = values;
  if (receipts !== undefined) {
    const read = await badInput(() => readReceiptDemands(receipts, tools));
    read.findings.forEach(tools.tell);
    sources.push(sourceOf(read.tasks));
  }
  let digests: Digest[] = [];
  for (const text of texts) {
    const digest = readDigest(text);
    if (digest) {
      digests.push(digest);
    } else if (digests.length > 0) {
      sources.push(sourceOf([{ name: text, place: parseArgument(text), digests }]));
      digests = [];
    } else {
      const read = await badInput(() => readOne(text, values, tools));
      sources.push(read.source);
      roots.push(read.root);
      if (read.elsewhere !== undefined) elsewhere.push(read.elsewhere);
    }
  }
  if (digests.length > 0) {
    throw new TransferError('invalid-request', `expected a file after \`${texts.at(-1)}\`, got nothing`);
  }
  const tasks = await badInput(async () => withoutQuarrels(sources, tools.tell));
  return { tasks, roots, elsewhere };
}

function readDigest(text: string): Digest | undefined {
  const [, name = '', hex = ''] = ALG_HEX.exec(text) ?? [];
  const algorithm = findAlgorithm(name);
  if (algorithm === undefined) return undefined;
  const digest = readHex(algorithm, hex);
  if (typeof digest !== 'string') return digest;
  throw new TransferError('invalid-request', `\`${name}:…\`: ${digest}`);
}

async function readOne(
  text: string,
  values: {
    readonly format: FormatName | undefined;
    readonly root: string | undefined;
    readonly extra: boolean;
  },
  tools: DemandTools,
): Promise<{ readonly source: TaskSource; readonly root: Root; readonly elsewhere?: string }> {
  const place = parseArgument(text);
  const manifest = await openManifest(await readList(place, tools), {
    fileName: lastName(place.location),
    ...(values.format === undefined ? {} : { format: values.format }),
  });
  const { format } = manifest;
  const root = rootOf(place, format, values.root);
  const isComplete = format === 'bagit' && !/^tagmanifest-/.test(lastName(place.location));
  const names = createNameSet();
  const isElsewhere = values.root === undefined && isLocal(place.location) && !isSelfRooted(format);
  // A list does not name itself.
  names.add(relative(root.location.path, place.location.path));
  return {
    source: manifestSource(manifest, {
      text,
      root,
      isFree: FREE.has(format) && values.root === undefined && isLocal(place.location),
      ...(isComplete || values.extra ? { names } : {}),
    }),
    root: { place: root, names, within: isComplete ? 'data/' : '', isComplete },
    ...(isElsewhere ? { elsewhere: dirname(place.location.path) } : {}),
  };
}

function rootOf(manifest: Place, format: FormatName, given: string | undefined): Place {
  if (given !== undefined) return parseArgument(given);
  const { location } = manifest;
  // The names beside a manifest on a service are beside it there.
  if (!isLocal(location)) return { ...manifest, location: { ...location, path: dirname(location.path) } };
  return parseArgument(isSelfRooted(format) ? dirname(location.path) : process.cwd());
}
