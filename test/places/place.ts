/** What a service keeps of an upload that has not ended. */
export interface Unfinished {
  /** What it is to become. */
  readonly name: string;
  /** By which the service knows it. */
  readonly id: string;
  readonly bytes: number;
  /** Anybody with the credentials can list it. Otherwise only who has written down its `id` ever finds it again. */
  readonly isListed: boolean;
}

/** A kind of storage, running: what lies there can be put and looked at past the product. */
export interface StoragePlace {
  /** The URL of a name, as a source or a destination, with whatever login it needs. */
  url(name: string): string;
  /** Stores the chunks, one after another. */
  put(name: string, content: Iterable<Uint8Array>): Promise<void>;
  /** What is stored under the name, piece by piece; undefined when there is nothing. */
  look(name: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  remove(name: string): Promise<void>;
  /** Every name there is, hidden ones too, in no order. */
  names(): Promise<readonly string[]>;
  uploads(): Promise<readonly Unfinished[]>;
  drop(upload: Unfinished): Promise<void>;
  /** Variables that the product needs to get in. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}
