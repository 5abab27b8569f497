import type { Cache } from '../../cache/cache.ts';
import { TransferError } from '../../errors.ts';
import type { OpenedImage } from '../../image/archive/open.ts';
import type { Image, Platform } from '../../image/image.ts';
import { parsePlatform } from '../../image/platform.ts';
import { findPatiently } from '../../image/registry/find-patiently.ts';
import type { Found, RegistryTools } from '../../image/registry/resolve.ts';
import { registrySettings } from '../../image/registry/settings.ts';
import type { UrlSecret } from '../../location.ts';
import type { HttpClient } from '../../protocol.ts';
import type { Io } from '../io.ts';
import type { Values } from '../option.ts';
import type { IMAGE_OPTIONS } from '../options.ts';
import { openReady, readyFile } from './open-file.ts';
import type { Named } from './order.ts';
import { openRegistries } from './registry-tools.ts';
import { openScratch, type Scratch } from './scratch.ts';

export type ImageValues = Values<typeof IMAGE_OPTIONS>;

/** What every action works with. */
export interface Work {
  readonly values: ImageValues;
  readonly io: Io;
  readonly signal: AbortSignal;
  readonly http: HttpClient;
  readonly platform: Platform | undefined;
  /** Gone when the action is over. */
  readonly scratch: Scratch;
  /** For registries; `secret` is the login that the argument had. */
  tools(secret: UrlSecret | undefined, cache?: Cache): RegistryTools;
}

/** Throws `invalid-request` for settings that cannot be meant. */
export function openWork(values: ImageValues, io: Io, signal: AbortSignal): Work {
  const settings = registrySettings({
    BRIDLE_INSECURE_REGISTRY: values.insecureRegistry.join(','),
    BRIDLE_REGISTRY_MIRROR: values.mirror.join(','),
  });
  const say = (line: string) => io.err(`${line}\n`);
  const { http, tools } = openRegistries(values, settings, { env: io.env, say });
  const platform = values.platform === undefined ? undefined : platformOf(values.platform);
  return { values, io, signal, http, platform, scratch: openScratch(io.env), tools };
}

function platformOf(text: string): Platform {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    throw new TransferError(error.code, `--platform: ${error.message}`, { cause: error });
  }
}

/** An image of either kind, found. */
export type Read =
  | { readonly kind: 'file'; readonly opened: OpenedImage; readonly path: string }
  | { readonly kind: 'sif'; readonly path: string }
  | { readonly kind: 'registry'; readonly found: Found };

/** Finds the image; layers are read later. */
export async function readImage(named: Named, work: Work): Promise<Read> {
  const { platform, signal } = work;
  if (named.kind === 'file') {
    const { path, isSif } = await readyFile(named, work);
    if (isSif) return { kind: 'sif', path };
    return { kind: 'file', path, opened: await openReady(path, named, work) };
  }
  const found = await findPatiently(named.reference, work.tools(named.secret), { platform, signal });
  return { kind: 'registry', found };
}

/** An image of layers. Throws `unsupported` for a SIF file, which has none. */
export function imageOf(read: Read): Image {
  if (read.kind === 'registry') return read.found.image;
  if (read.kind === 'file') return read.opened.image;
  throw new TransferError(
    'unsupported',
    `\`${read.path}\` is a SIF file, and has no layers: only another SIF file is compared with it`,
    { hint: 'name the SIF file first: it tells which image it was made of' },
  );
}

/** An argument as it may be shown: a URL without its login. */
export function shownName(named: Named, text: string): string {
  return named.kind === 'file' && named.place ? named.path : text;
}
