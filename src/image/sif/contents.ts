import { open } from 'node:fs/promises';
import { toTransferError } from '../../errors.ts';
import { digestOf, MOST_CONFIG } from '../documents.ts';
import { DATA_TYPES, type SifObject } from './layout.ts';
import type { Sif } from './read.ts';

/** What stands in the objects of a SIF file beside its file system. */
export interface SifContents {
  /** What it was built by. */
  readonly definition?: string;
  /** From an object of that type; apptainer keeps labels in the file system. */
  readonly labels: Readonly<Record<string, string>>;
  /** The configuration of the image that it was made of, as a registry has it. */
  readonly config?: { readonly digest: string; readonly bytes: Uint8Array };
  /** How many; none of them is checked. */
  readonly signatures: number;
}

/** The names under which an image's configuration is kept, by apptainer, too: files made by older versions have the second. */
const CONFIG: readonly string[] = ['oci-config.json', 'oci-config'];

/** Reads the small objects of the SIF file at `path`; those of more than 4 MiB are left out. */
export async function readContents(path: string, { objects }: Sif): Promise<SifContents> {
  const find = (type: number, names?: readonly string[]) =>
    objects.find((object) => object.type === type && (names?.includes(object.name) ?? true));
  const [definition, labels, config] = await Promise.all(
    [find(DATA_TYPES.deffile), find(DATA_TYPES.labels), find(DATA_TYPES.json, CONFIG)].map((object) =>
      bytesOf(path, object),
    ),
  );
  return {
    ...(definition ? { definition: definition.toString('utf8').replace(/\0+$/, '') } : {}),
    labels: labelsIn(labels),
    ...(config ? { config: { digest: digestOf(config), bytes: config } } : {}),
    signatures: objects.filter(({ type }) => type === DATA_TYPES.signature).length,
  };
}

async function bytesOf(path: string, object: SifObject | undefined): Promise<Buffer | undefined> {
  if (!object || object.size > MOST_CONFIG) return undefined;
  const file = await open(path, 'r').catch((error: unknown) => {
    throw toTransferError(error, `reading \`${path}\``);
  });
  try {
    const bytes = Buffer.alloc(object.size);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, object.offset);
    return bytesRead === bytes.length ? bytes : undefined;
  } finally {
    await file.close();
  }
}

/** The labels of a JSON text, those that are texts; none of what is no such thing. */
export function labelsIn(bytes: Uint8Array | undefined): Readonly<Record<string, string>> {
  try {
    const json: unknown = JSON.parse(Buffer.from(bytes ?? []).toString('utf8'));
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return {};
    const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === 'string';
    return Object.fromEntries(Object.entries(json).filter(isText));
  } catch {
    return {};
  }
}
