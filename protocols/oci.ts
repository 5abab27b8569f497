import { TransferError } from '../src/errors.ts';
import { layoutOf, layoutVersion } from '../src/image/archive/members.ts';
import { archiveBytes } from '../src/image/archive/stream.ts';
import { createSifFile } from '../src/image/as-sif.ts';
import { formatPlatform } from '../src/image/platform.ts';
import { parseReference, type Reference } from '../src/image/reference.ts';
import { NO_REGISTRY_SETTINGS } from '../src/image/registry/hosts.ts';
import { describeLimit } from '../src/image/registry/limits.ts';
import { type Found, findImage } from '../src/image/registry/resolve.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/** An archive is a docker-archive and an OCI layout in one: every loader takes it, and it keeps the image's digest. */
const FORMAT = 'hybrid';

/**
 * One image of a registry, read as the archive that `docker load` takes. Its bytes are decided by the image alone, so
 * that its size is known before and a read that broke off goes on in the middle.
 */
export function open(location: Location, context: Context): Endpoint {
  const named = parseReference(location.authority + location.path);
  refuseFormat(context.format);
  const { settings = {} } = context;
  const { scratch = '/tmp', programs = '' } = settings.registry ?? {};
  const sif =
    context.format === 'singularity' ? createSifFile({ scratch, programs, cache: context.cache }) : undefined;
  let found: Promise<Found> | undefined;

  /** Looked for once: a tag that moves meanwhile would make two images of one, and every question counts as a pull. */
  function find(reference: Reference, signal: AbortSignal, isFresh: boolean): Promise<Found> {
    if (found && !isFresh) return found;
    const finding = findImage(
      reference,
      {
        http: context.http,
        settings: settings.registry ?? NO_REGISTRY_SETTINGS,
        // The login is for the registry in the name, not for a mirror of it.
        secretsFor: async (registry, _, again) => (registry === named.registry ? context.secrets(again) : {}),
        warn: (key, message) => settings.net?.warn(key, message),
        cache: context.cache,
      },
      { platform: settings.registry?.platform, signal },
    );
    found = finding;
    finding.catch(() => {
      if (found === finding) found = undefined;
    });
    return finding;
  }

  return {
    usesCache: context.cache !== undefined,
    service: `registry ${named.registry} ${context.identity ?? ''}`,

    async stat(_, { signal }) {
      const { image } = await find(named, signal, false);
      // How long a SIF file will be is known once it is made.
      if (sif) return { type: 'file' };
      return { type: 'file', size: layoutOf(image, FORMAT).size, version: layoutVersion(image, FORMAT) };
    },

    async read(_, call) {
      const { image, digest, notes } = await find(named, call.signal, call.fresh ?? false);
      const proven = {
        algorithm: 'sha256',
        value: digest.slice(digest.indexOf(':') + 1),
        by: 'manifest',
        isAskedFor: named.digest !== undefined,
      } as const;
      if (sif) return { ...(await sif.read(image, call)), proven };
      const layout = layoutOf(image, FORMAT);
      const version = layoutVersion(image, FORMAT);
      if (call.version !== undefined && call.version !== version) {
        throw new TransferError(
          'changed',
          `read \`${image.name}\`: it is no longer the image that was asked for`,
        );
      }
      return {
        type: 'file',
        size: layout.size,
        version,
        bytes: archiveBytes(layout, { start: 0, ...call.range, before: call.before }, call.signal),
        proven,
        note: [
          `image ${digest} for ${formatPlatform(image.platform)}, each layer compared with its digest`,
          ...notes,
        ].join('; '),
      };
    },

    async describe(_, { signal }) {
      const { image, digest, platforms, limit } = await find(named, signal, false);
      return [
        { label: 'image', text: `${digest}, for ${formatPlatform(image.platform)}` },
        ...(platforms
          ? [{ label: 'platforms', text: [...new Set(platforms.map(formatPlatform))].join(', ') }]
          : []),
        ...(limit ? [{ label: 'pulls', text: describeLimit(limit) }] : []),
      ];
    },

    close: async () => sif?.close(),
  };
}

function refuseFormat(format: string | undefined): void {
  if (format === undefined || format === 'docker' || format === 'singularity') return;
  throw new TransferError('unsupported', `an image of a registry cannot be had as \`${format}\` here`, {
    hint: 'as `docker` it is an archive for docker and podman, as `singularity` a SIF file',
  });
}
