import { TransferError } from '../src/errors.ts';
import { layoutOf, layoutVersion } from '../src/image/archive/members.ts';
import { archiveBytes } from '../src/image/archive/stream.ts';
import { createSifFile } from '../src/image/as-sif.ts';
import { hexOf } from '../src/image/documents.ts';
import { findOnce } from '../src/image/find-once.ts';
import { formatPlatform } from '../src/image/platform.ts';
import { parseReference } from '../src/image/reference.ts';
import { describeLimit } from '../src/image/registry/limits.ts';
import { registryTools } from '../src/image/registry/of-context.ts';
import { findImage } from '../src/image/registry/resolve.ts';
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
  const tools = registryTools(named.registry, context);
  const find = findOnce((signal) =>
    findImage(named, tools, { platform: settings.registry?.platform, signal }),
  );

  return {
    usesCache: context.cache !== undefined,
    service: `registry ${named.registry} ${context.identity ?? ''}`,

    async stat(_, { signal }) {
      const { image } = await find(signal);
      // How long a SIF file will be is known once it is made.
      if (sif) return { type: 'file' };
      return { type: 'file', size: layoutOf(image, FORMAT).size, version: layoutVersion(image, FORMAT) };
    },

    async read(_, call) {
      const { image, digest, notes } = await find(call.signal, call.fresh);
      const proven = {
        algorithm: 'sha256',
        value: hexOf(digest),
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
      const { image, digest, platforms, limit } = await find(signal);
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
