import type { ErrorCode } from './errors.ts';
import type { Location } from './location.ts';
import type { Algorithm } from './protocol.ts';

/** How well one side of a transfer was verified; each grade says more than the one before. */
export type Grade = 'none' | 'size' | 'wire' | 'server' | 'end-to-end';

export interface Verification {
  readonly grade: Grade;
  readonly algorithm?: Algorithm;
  /** Lower-case hexadecimal. */
  readonly value?: string;
  /** Who computed the digest that ours was compared with: `catalog`, `kernel`, or a host; `manifest` for an image's. */
  readonly by?: string;
}

/** What told the version of each side apart from every other; nothing where the service has none. */
export interface Versions {
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
}

/** The sha256 of each block of a file, the last one as long as what is left. */
export interface OutcomeBlocks {
  /** Bytes of a block. */
  readonly size: number;
  /** Lower-case hexadecimal, in order. */
  readonly sha256: readonly string[];
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly transient: boolean;
  readonly retryAfter?: number;
}

/** What the URL of one side held besides its location. */
export interface UrlRest {
  readonly username?: string;
  /** A query that grants access belongs to the URL; it is kept nowhere. */
  readonly hasSecretQuery?: true;
}

/** How the bytes went. `none`: there was nothing to move. */
export type RouteKind = 'link' | 'move' | 'copy' | 'stream' | 'none';

/** One try of one pair. */
export interface Attempt {
  /** 1 for the first round over the item's pairs. */
  readonly round: number;
  readonly source: Location;
  readonly destination: Location;
  /** Milliseconds since the epoch. */
  readonly started: number;
  readonly seconds: number;
  /** Bytes of the file, resumed ones included, when known; else those moved. */
  readonly bytes: number;
  readonly route: RouteKind;
  readonly failure?: Failure;
}

export type Status = 'done' | 'failed' | 'unsupported' | 'skipped' | 'canceled';

/** What ended. A failure is an outcome, not an exception. */
export interface Outcome {
  /** Position in the request, from 0. */
  readonly index: number;
  readonly kind: 'transfer' | 'mkdir' | 'remove';
  readonly status: Status;
  readonly lfn: string;
  readonly linkage: string;
  /** The pair that succeeded, else the last one tried. For mkdir and remove both are the target. */
  readonly source: Location;
  readonly destination: Location;
  /** Of what is done. */
  readonly rest?: { readonly source?: UrlRest; readonly destination?: UrlRest };
  readonly route: RouteKind;
  /** Bytes of the file; 0 when nothing was moved. */
  readonly bytes: number;
  /** Bytes that were already there from an interrupted run. */
  readonly resumedFrom: number;
  readonly attempts: readonly Attempt[];
  readonly seconds: number;
  readonly sourceVerification: Verification;
  readonly destinationVerification: Verification;
  /** Digests of the content taken on the way, lower-case hexadecimal. */
  readonly digests: Readonly<Partial<Record<Algorithm, string>>>;
  /** Digests of the blocks of the content, where they were asked for and the bytes passed through. */
  readonly blocks?: OutcomeBlocks;
  /** Of what was read and what is stored, where that is known. */
  readonly versions?: Versions;
  readonly failure?: Failure;
  /** True when wrong content could be seen under the final name for a while (services without staging). */
  readonly wasVisible?: boolean;
  /** Why it was skipped, started over, read back…: one short sentence each. */
  readonly notes: readonly string[];
}

/** What happens while a run goes on, in order. Consumers must return at once. */
export type Event =
  | { readonly type: 'run-started'; readonly total: number }
  | { readonly type: 'round-started'; readonly round: number }
  | {
      readonly type: 'item-started';
      readonly index: number;
      readonly source: Location;
      readonly destination: Location;
    }
  /** The size became known. */
  | { readonly type: 'item-size'; readonly index: number; readonly bytes: number }
  /** `bytes` more were stored (negative when an attempt starts over). */
  | { readonly type: 'progress'; readonly index: number; readonly bytes: number }
  /** An attempt goes on behind the bytes that an earlier one left; `progress` does not tell those again. */
  | { readonly type: 'resumed'; readonly index: number; readonly from: number; readonly why: string }
  /** A read that broke off goes on inside its attempt. */
  | { readonly type: 'continued'; readonly index: number; readonly at: number; readonly why: string }
  | { readonly type: 'started-over'; readonly index: number; readonly why: string }
  | { readonly type: 'attempt-ended'; readonly index: number; readonly attempt: Attempt }
  | {
      readonly type: 'retry-scheduled';
      readonly index: number;
      readonly source: Location;
      readonly seconds: number;
      readonly round: number;
      readonly failure: Failure;
    }
  | { readonly type: 'breaker-opened'; readonly host: string; readonly failures: number; readonly of: number }
  /** Nothing more is tried with the host in this run. */
  | { readonly type: 'host-given-up'; readonly host: string }
  /** Shown once per `key` and run. */
  | { readonly type: 'warning'; readonly key: string; readonly message: string }
  | { readonly type: 'debug'; readonly message: string }
  /** `generate`, `linkage` and checks are for the formats that other programs read. */
  | {
      readonly type: 'verified';
      readonly index: number;
      readonly linkage: string;
      readonly success: boolean;
      readonly seconds: number;
    }
  | { readonly type: 'item-ended'; readonly outcome: Outcome }
  | { readonly type: 'run-ended'; readonly seconds: number };

export type Emit = (event: Event) => void;
