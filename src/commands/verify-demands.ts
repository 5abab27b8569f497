import { dirname, relative } from 'node:path';
import { TransferError } from '../errors.ts';
import { isAlgorithm, parseDigest } from '../integrity/expected.ts';
import { readManifest } from '../integrity/manifests/formats.ts';
import type { FormatName, ManifestEntry } from '../integrity/manifests/manifest.ts';
import { isBelowRoot } from '../integrity/manifests/names.ts';
import { formatLocation } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Digest } from '../protocol.ts';
import type { Place } from '../request.ts';
import type { VerifyTask } from '../verify.ts';
import { below, lastName, parseArgument } from './arguments.ts';
import { badInput } from './failures.ts';
import type { Visit } from './places.ts';
import { readBytes } from './read-bytes.ts';
import { readReceiptDemands } from './receipt-demands.ts';

/** Something that stands in the way of a proof, and is no file that was looked at. */
export interface Finding {
  readonly name: string;
  readonly status: 'wrong' | 'unverifiable' | 'extra';
  readonly problem: string;
}

/** What is asked for. */
export interface Demands {
  readonly tasks: readonly VerifyTask[];
  readonly findings: readonly Finding[];
  /** Directories that manifests speak of, with what counts as named there. */
  readonly roots: readonly Root[];
}

export interface Root {
  readonly place: Place;
  /** Plain, relative to the place. */
  readonly names: ReadonlySet<string>;
  /** Only what is below this directory counts: `data/` of a bag. */
  readonly within: string;
  /** The format is a complete list by what it says of itself. */
  readonly isComplete: boolean;
}

const ALG_HEX = /^([A-Za-z0-9-]+):([0-9A-Fa-f]+)$/;

/** Formats whose names are relative to where they lie, whatever the current directory is. */
const SELF_ROOTED: ReadonlySet<FormatName> = new Set(['bagit', 'ro-crate']);
/** Formats that know files by any path, as `sha256sum -c` takes them. */
const FREE: ReadonlySet<FormatName> = new Set(['sums', 'bsd']);

/** Reads what the arguments of `verify` ask for. Rejects with what ends the command with status 2. */
export async function readDemands(
  texts: readonly string[],
  values: {
    readonly format: FormatName | undefined;
    readonly root: string | undefined;
    readonly receipts: string | undefined;
  },
  visit: Visit,
): Promise<Demands> {
  const tasks: VerifyTask[] = [];
  const findings: Finding[] = [];
  const roots: Root[] = [];
  const { receipts } = values;
  if (receipts !== undefined) {
    const read = await badInput(() => readReceiptDemands(receipts, visit));
    tasks.push(...read.tasks);
    findings.push(...read.findings);
  }
  let digests: Digest[] = [];
  for (const text of texts) {
    const digest = readDigest(text);
    if (digest) {
      digests.push(digest);
    } else if (digests.length > 0) {
      tasks.push({ name: text, place: parseArgument(text), digests });
      digests = [];
    } else {
      const read = await badInput(() => readOne(text, values, visit));
      tasks.push(...read.tasks);
      findings.push(...read.findings);
      roots.push(read.root);
    }
  }
  if (digests.length > 0) {
    throw new TransferError('invalid-request', `expected a file after \`${texts.at(-1)}\`, got nothing`);
  }
  return { ...withoutQuarrels(tasks, findings), roots };
}

function readDigest(text: string): Digest | undefined {
  const [, name = '', hex = ''] = ALG_HEX.exec(text) ?? [];
  const algorithm = name.toLowerCase().replaceAll('-', '');
  return isAlgorithm(algorithm) ? parseDigest(algorithm, hex) : undefined;
}

async function readOne(
  text: string,
  values: { readonly format: FormatName | undefined; readonly root: string | undefined },
  visit: Visit,
) {
  const place = parseArgument(text);
  const manifest = await readManifest(await readBytes(place, visit), {
    fileName: lastName(place.location),
    ...(values.format === undefined ? {} : { format: values.format }),
  });
  const { format } = manifest;
  const root = rootOf(place, format, values.root);
  const isFree = FREE.has(format) && values.root === undefined && isLocal(place.location);
  const tasks: VerifyTask[] = [];
  const findings: Finding[] = manifest.problems.map(({ where, name, problem }) => ({
    name: `${text}: ${where}`,
    status: 'unverifiable',
    problem: name === undefined || problem.includes(name) ? problem : `${problem} (\`${name}\`)`,
  }));
  // A list does not name itself.
  const names = new Set<string>([relative(root.location.path, place.location.path)]);
  for (const entry of manifest.entries) {
    const where = placeOf(entry, root, isFree);
    if (where) {
      names.add(plainName(entry.name));
      tasks.push({ name: entry.name, place: where, digests: entry.digests, size: entry.size });
    } else {
      const outside = `it lies outside of \`${formatLocation(root.location)}\``;
      findings.push({ name: entry.name, status: 'unverifiable', problem: outside });
    }
  }
  const isBag = format === 'bagit';
  return {
    tasks,
    findings,
    root: {
      place: root,
      names,
      within: isBag && !/^tagmanifest-/.test(lastName(place.location)) ? 'data/' : '',
      isComplete: isBag && !/^tagmanifest-/.test(lastName(place.location)),
    },
  };
}

function rootOf(manifest: Place, format: FormatName, given: string | undefined): Place {
  if (given !== undefined) return parseArgument(given);
  const { location } = manifest;
  // The names beside a manifest on a service are beside it there.
  if (!isLocal(location)) return { ...manifest, location: { ...location, path: dirname(location.path) } };
  return parseArgument(SELF_ROOTED.has(format) ? dirname(location.path) : process.cwd());
}

const URL_NAME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;

function placeOf({ name }: ManifestEntry, root: Place, isFree: boolean): Place | undefined {
  if (URL_NAME.test(name)) return parseArgument(name);
  if (isFree && !isBelowRoot(name)) return parseArgument(name.startsWith('/') ? name : `./${name}`);
  if (!isBelowRoot(name)) return undefined;
  return below(root, plainName(name));
}

/** Without empty parts and dots, as listings have it. */
function plainName(name: string): string {
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** Each place once, with all its digests; two sources that disagree about one are a finding, and then neither counts. */
function withoutQuarrels(tasks: readonly VerifyTask[], findings: readonly Finding[]) {
  const byPlace = new Map<string, VerifyTask>();
  const quarrels = new Map<string, Finding>();
  for (const task of tasks) {
    const key = formatLocation(task.place.location);
    const known = byPlace.get(key);
    const other = known && contradiction(known, task);
    if (other !== undefined) quarrels.set(key, { name: task.name, status: 'unverifiable', problem: other });
    byPlace.set(
      key,
      known ? { ...known, digests: allDigests(known, task), size: known.size ?? task.size } : task,
    );
  }
  for (const key of quarrels.keys()) byPlace.delete(key);
  return { tasks: [...byPlace.values()], findings: [...findings, ...quarrels.values()] };
}

function allDigests(one: VerifyTask, other: VerifyTask): readonly Digest[] {
  const added = other.digests.filter(({ algorithm }) => one.digests.every((d) => d.algorithm !== algorithm));
  return [...one.digests, ...added];
}

function contradiction(one: VerifyTask, other: VerifyTask): string | undefined {
  for (const { algorithm, value } of other.digests) {
    const said = one.digests.find((digest) => digest.algorithm === algorithm)?.value;
    if (said !== undefined && said !== value) {
      return `the manifests disagree: ${algorithm} ${said} and ${value}`;
    }
  }
  if (one.size === undefined || other.size === undefined || one.size === other.size) return undefined;
  return `the manifests disagree: ${one.size} and ${other.size} bytes`;
}
