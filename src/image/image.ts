import type { Bytes } from '../protocol.ts';

/** A blob of an image, as a manifest or an index names it (OCI image specification, `descriptor.md`). */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` and 64 lower-case hexadecimal digits, of the bytes as stored. */
  readonly digest: string;
  /** Bytes as stored. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
}

/** What an image runs on, in the names of Go's `GOOS` and `GOARCH` (OCI image specification, `image-index.md`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** One layer of an image: a tar archive, stored as it is or compressed. */
export interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed tar archive, as the image's configuration lists it. */
  readonly diffId: string;
  /** The bytes as stored. Rejects with `digest-mismatch` or `size-mismatch` after the last one when they are not what the descriptor says. */
  read(signal: AbortSignal): Promise<Bytes>;
}

/** One image for one platform: its manifest and configuration as stored, and its layers, lowest first. */
export interface Image {
  /** `host/repository:tag`, for archives that carry a name. */
  readonly name: string;
  readonly manifest: { readonly descriptor: Descriptor; readonly bytes: Uint8Array };
  readonly config: { readonly descriptor: Descriptor; readonly bytes: Uint8Array };
  readonly platform: Platform;
  readonly layers: readonly Layer[];
}
