import type { PrefixDigest } from './integrity/prefix.ts';
import { type Journal, openJournal } from './journal.ts';
import { isJournaled, type Opened } from './opening.ts';
import type { RemoteJournal } from './remote-journals.ts';
import type { StreamCall } from './stream.ts';

/** What is written down of a write under way, so that a later try can go on with it. */
export interface WriteRecord {
  readonly onPartial: (handle: string) => void;
  readonly onBlock: (block: PrefixDigest) => void;
  /** Something was written down that a later try can build on. */
  isWorthKeeping(): boolean;
  /** What the endpoint said last; undefined when it never did. */
  handle(): string | undefined;
  end(fate: Fate): void;
}

/** `kept` for a later try, `left` for those who clean up, or gone with what it was about. */
export type Fate = 'kept' | 'left' | 'gone';

/** The record of one write; undefined when a broken one is not to be gone on with. */
export function startRecord(call: StreamCall, opened: Opened): WriteRecord | undefined {
  if (!isJournaled(call, opened.source)) {
    // A partial that was claimed is this write's, though what comes now could not be gone on with.
    opened.record?.remove();
    return undefined;
  }
  if (call.to.endpoint.isLocal) return localRecord(call, opened);
  const kept = opened.record ?? call.journals?.create(call.key);
  return kept && remoteRecord(call, opened, kept);
}

/** Beside the partial, whose path is its handle. */
function localRecord(call: StreamCall, opened: Opened): WriteRecord {
  let journal: Journal | undefined;
  return {
    onPartial: (partial) => {
      journal = openJournal(partial, headerOf(call, opened), opened.blocks);
    },
    onBlock: (block) => journal?.add(block),
    isWorthKeeping: () => journal !== undefined && journal.blocks() > 0,
    handle: () => undefined,
    end: (fate) => (fate === 'gone' ? journal?.remove() : journal?.close()),
  };
}

/** Under the state directory. A disk that is full there must not end a transfer: what it cannot keep is not kept. */
function remoteRecord(call: StreamCall, opened: Opened, kept: RemoteJournal): WriteRecord {
  let journal: Journal | undefined;
  let isBroken = false;
  const write = (what: () => void) => {
    try {
      if (!isBroken) what();
    } catch {
      isBroken = true;
    }
  };
  const begin = () => {
    const header = { ...headerOf(call, opened), destination: call.to.name };
    journal ??= kept.open(header, opened.blocks);
  };
  if (opened.record) write(begin);
  return {
    onPartial: (handle) => {
      write(() => kept.keepHandle(handle, call.to.name));
      write(begin);
    },
    onBlock: (block) => write(() => journal?.add(block)),
    isWorthKeeping: () => !isBroken && journal !== undefined,
    handle: kept.handle,
    end: (fate) => {
      journal?.close();
      if (fate === 'gone') kept.remove();
      else write(fate === 'kept' ? kept.release : kept.leave);
    },
  };
}

function headerOf(call: StreamCall, opened: Opened) {
  const { size, version } = opened.source;
  return {
    source: call.from.name,
    version: version ?? '',
    algorithms: opened.algorithms,
    ...(size === undefined ? {} : { size }),
  };
}
