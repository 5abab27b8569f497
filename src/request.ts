import type { Location, UrlSecret } from './location.ts';
import type { Digest } from './protocol.ts';

/** One URL of a request, its secrets apart. */
export interface Place {
  readonly location: Location;
  readonly secret?: UrlSecret;
  /** Higher is tried first. Without one the order among equals is drawn at random. */
  readonly priority?: number;
  /** Container format asked for (`docker`, `singularity`, …). */
  readonly format?: string;
}

export interface TransferRequest {
  readonly kind: 'transfer';
  /** Position in the input, from 0. */
  readonly index: number;
  readonly lfn: string;
  readonly linkage: string;
  readonly sources: readonly Place[];
  readonly destinations: readonly Place[];
  readonly generateChecksum: boolean;
  readonly verifyRemote: boolean;
  readonly verifySymlinkSource: boolean;
  /** Digests that the content must have. */
  readonly expected: readonly Digest[];
  /** Bytes that the content must have. */
  readonly size?: number;
}

export interface MkdirRequest {
  readonly kind: 'mkdir';
  readonly index: number;
  readonly target: Place;
}

export interface RemoveRequest {
  readonly kind: 'remove';
  readonly index: number;
  readonly target: Place;
  readonly recursive: boolean;
}

/** What a user asked for, in the order of the input. */
export type Request = TransferRequest | MkdirRequest | RemoveRequest;
