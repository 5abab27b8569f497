import type { Bytes, Digest, ProvenBy, ReadCall } from '../../protocol.ts';

/** A SIF file at a service, found by its name; its bytes are read later. */
export interface RemoteSif {
  /** As it was asked for, complete, with its scheme. */
  readonly name: string;
  /** A name of exactly this file, where the service has one; else {@link name}. */
  readonly pinned: string;
  /** Bytes; undefined where the service does not tell before. */
  readonly size: number | undefined;
  /** Of the whole file, as the service says; what comes must have it. */
  readonly digest: Digest | undefined;
  /** What decides the file, and so its digest, where that is something else or was asked for. */
  readonly proven?: ProvenBy;
  /** Differs whenever the file does; undefined where nothing but the answer with its bytes may tell. */
  readonly version: string | undefined;
  /** What it is, in a line, for the outcome of a transfer. */
  readonly note: string;
  /** What the service says of it, for people and programs. */
  readonly facts: readonly SifFact[];
  /** The bytes from `range.start` on. Rejects with `range-ignored` for a service that only gives the whole. */
  open(call: ReadCall): Promise<OpenedSif>;
}

export interface SifFact {
  /** A word or two. */
  readonly label: string;
  readonly text: string;
}

export interface OpenedSif {
  readonly bytes: Bytes;
  /** Bytes of the whole, where the answer tells. */
  readonly size?: number | undefined;
  readonly version?: string | undefined;
  /** For bytes that are never iterated. */
  discard?(): Promise<void>;
}
