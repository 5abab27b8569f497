import { TransferError } from '../errors.ts';
import type { Descriptor, Platform } from './image.ts';

/** Node's names of processors in Go's, which images use. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
  loong64: 'loong64',
};

/** Variants that stand for none being named (containerd's normalisation of platforms). */
const DEFAULT_VARIANT: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };

/**
 * Of an image for this machine: `linux`, whatever runs here, since containers do. Without a variant that other
 * machines of the same kind may lack: what is staged here runs elsewhere.
 */
export function hostPlatform(arch: string = process.arch): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[arch] ?? arch };
}

/** `os/architecture[/variant]`. Throws `invalid-request` for anything else. */
export function parsePlatform(text: string): Platform {
  const [, os, architecture, variant] = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?$/.exec(text) ?? [];
  if (os === undefined || architecture === undefined) {
    throw new TransferError(
      'invalid-request',
      `expected a platform such as \`linux/amd64\` or \`linux/arm/v7\`, got \`${text}\``,
    );
  }
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === undefined ? '' : `/${variant}`}`;
}

/** Build provenance and the like stands in indexes beside images (annotation of Docker's BuildKit). */
function isAttestation({ annotations, platform }: Descriptor): boolean {
  return platform?.os === 'unknown' || annotations?.['vnd.docker.reference.type'] === 'attestation-manifest';
}

/** The entries of an index that are images, or may be. */
export function imagesIn<E extends Descriptor>(entries: readonly E[]): readonly E[] {
  return entries.filter((entry) => !isAttestation(entry));
}

/**
 * The entry that runs best on `wanted`: the same variant, else the highest below it (`arm/v7` runs `v6` and `v5`). Of
 * equals the first. Undefined when none does.
 */
export function choosePlatform<E extends Descriptor>(entries: readonly E[], wanted: Platform): E | undefined {
  let best: { readonly entry: E; readonly rank: number } | undefined;
  for (const entry of imagesIn(entries)) {
    const rank = entry.platform ? fitness(entry.platform, wanted) : undefined;
    if (rank !== undefined && (best === undefined || rank > best.rank)) best = { entry, rank };
  }
  return best?.entry;
}

/** True when an image for `offered` runs on `wanted`. */
export function runsOn(offered: Platform, wanted: Platform): boolean {
  return fitness(offered, wanted) !== undefined;
}

/** Higher is better; undefined for what does not run there. */
function fitness(offered: Platform, wanted: Platform): number | undefined {
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return undefined;
  const usual = DEFAULT_VARIANT[wanted.architecture];
  const [has, needs] = [offered.variant ?? usual, wanted.variant ?? usual];
  if (has === needs) return Number.POSITIVE_INFINITY;
  const [level, most] = [levelOf(has), levelOf(needs)];
  return level === undefined || most === undefined || level > most ? undefined : level;
}

function levelOf(variant: string | undefined): number | undefined {
  const level = /^v(\d+(?:\.\d+)?)$/.exec(variant ?? '')?.[1];
  return level === undefined ? undefined : Number(level);
}
