import fs from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { Algorithm } from '../protocol.ts';
import { type RunningBlocks, startBlocks } from './block-digests.ts';
import { type Running, startDigest } from './digests.ts';
import { proveBlocks } from './prefix.ts';

/** What the main thread asks of this one. Messages about one hasher are handled in the order they were sent. */
export type HashOrder =
  | {
      readonly id: number;
      readonly do: 'open';
      readonly algorithms: readonly Algorithm[];
      readonly blocks: boolean;
    }
  | { readonly id: number; readonly do: 'update'; readonly chunk: Uint8Array }
  | { readonly id: number; readonly do: 'prefix'; readonly ticket: number }
  | {
      readonly id: number;
      readonly do: 'file';
      readonly ticket: number;
      readonly path: string;
      readonly blocks: readonly { readonly end: number; readonly sha256: string }[];
    }
  | { readonly id: number; readonly do: 'digests'; readonly ticket: number }
  | { readonly id: number; readonly do: 'blocks'; readonly ticket: number }
  | { readonly id: number; readonly do: 'close' };

export type HashAnswer =
  | { readonly id: number; readonly type: 'taken' }
  | { readonly id: number; readonly type: 'answer'; readonly ticket: number; readonly value: unknown }
  | { readonly id: number; readonly type: 'failed'; readonly ticket: number; readonly message: string };

const port = parentPort;

interface State {
  readonly digests: Map<Algorithm, Running>;
  readonly blocks: RunningBlocks | undefined;
}

const states = new Map<number, State>();
let queue: Promise<void> = Promise.resolve();

port?.on('message', (order: HashOrder) => {
  if (order.do === 'update' && pending === 0) {
    update(order.id, order.chunk);
    return;
  }
  pending += 1;
  queue = queue
    .then(() => serve(order))
    .finally(() => {
      pending -= 1;
    });
});

let pending = 0;

function update(id: number, chunk: Uint8Array): void {
  const state = states.get(id);
  for (const running of state?.digests.values() ?? []) running.update(chunk);
  state?.blocks?.update(chunk);
  answer({ id, type: 'taken' });
}

async function serve(order: HashOrder): Promise<void> {
  if (order.do === 'update') return update(order.id, order.chunk);
  if (order.do === 'close') return void states.delete(order.id);
  if (order.do === 'open') return void states.set(order.id, await start(order));
  try {
    answer({ id: order.id, type: 'answer', ticket: order.ticket, value: await ask(order) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    answer({ id: order.id, type: 'failed', ticket: order.ticket, message });
  }
}

async function ask(order: Extract<HashOrder, { readonly ticket: number }>): Promise<unknown> {
  const state = states.get(order.id);
  if (order.do === 'prefix') return state?.digests.get('sha256')?.value();
  if (order.do === 'digests')
    return [...(state?.digests ?? [])].map(([algorithm, running]) => [algorithm, running.value()]);
  if (order.do === 'blocks') return state?.blocks?.end();
  const fd = fs.openSync(order.path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    const proven = await proveBlocks(fd, [...(state?.digests.keys() ?? [])], order.blocks, {
      inBlocks: state?.blocks !== undefined,
    });
    states.set(order.id, { digests: proven.state, blocks: proven.inBlocks });
    return proven.bytes;
  } finally {
    fs.closeSync(fd);
  }
}

async function start({ algorithms, blocks }: Extract<HashOrder, { readonly do: 'open' }>): Promise<State> {
  const state = new Map<Algorithm, Running>();
  for (const algorithm of algorithms) state.set(algorithm, await startDigest(algorithm));
  return { digests: state, blocks: blocks ? startBlocks() : undefined };
}

function answer(message: HashAnswer): void {
  port?.postMessage(message);
}
