const OCI = 'application/vnd.oci.image.';
const DOCKER = 'application/vnd.docker.';

/** OCI image specification, `media-types.md`; Docker's Image Manifest V 2, Schema 2. */
export const MEDIA = {
  ociIndex: `${OCI}index.v1+json`,
  ociManifest: `${OCI}manifest.v1+json`,
  ociConfig: `${OCI}config.v1+json`,
  ociLayer: `${OCI}layer.v1.tar`,
  dockerIndex: `${DOCKER}distribution.manifest.list.v2+json`,
  dockerManifest: `${DOCKER}distribution.manifest.v2+json`,
  dockerConfig: `${DOCKER}container.image.v1+json`,
  dockerLayer: `${DOCKER}image.rootfs.diff.tar`,
  /** Of the tool that SIF files are kept in registries by. */
  sifConfig: 'application/vnd.sylabs.sif.config.v1+json',
  sifLayer: 'application/vnd.sylabs.sif.layer.v1.sif',
} as const;

/** With its typing error, what Singularity before 3.7 wrote. */
const OLD_SIF_LAYER = 'appliciation/vnd.sylabs.sif.layer.tar';

/** A blob that is a whole SIF file. */
export function isSifLayer(mediaType: string): boolean {
  return mediaType === MEDIA.sifLayer || mediaType === OLD_SIF_LAYER;
}

/** The first generation of manifests: signed, without sizes and configuration. Docker took it out in 2024. */
export const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:prettyjws|json)$/;

/** What a registry is asked for, so that it answers with nothing older. */
export const ACCEPT = [MEDIA.ociIndex, MEDIA.ociManifest, MEDIA.dockerIndex, MEDIA.dockerManifest].join(', ');

export function isIndexType(mediaType: string): boolean {
  return mediaType === MEDIA.ociIndex || mediaType === MEDIA.dockerIndex;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === MEDIA.ociManifest || mediaType === MEDIA.dockerManifest;
}

export function isImageConfig(mediaType: string): boolean {
  return mediaType === MEDIA.ociConfig || mediaType === MEDIA.dockerConfig;
}

/** Layers that a registry may not keep: they come from where their `urls` say (`layer.md`, non-distributable layers). */
export function isForeignLayer(mediaType: string): boolean {
  return /\.nondistributable\.|\.rootfs\.foreign\./.test(mediaType);
}

/** A content type without its parameters, lower case. */
export function bareType(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
