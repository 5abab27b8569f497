import { rm } from 'node:fs/promises';
import { numbersFrom } from '../../fixtures/misbehaving/content.ts';
import type { StoragePlace } from '../places/place.ts';
import { PLACES } from '../places/places.ts';
import { type Ledger, openLedger, settleLanes } from './ledger.ts';
import { sweep } from './leftovers.ts';
import { startProduct } from './product.ts';
import { runRemoteChain } from './remote-chain.ts';
import {
  type Direction,
  makeRemoteLane,
  type RemoteLane,
  remoteArgs,
  SERVICES,
  type ServiceName,
} from './remote-lane.ts';

/** Kills of one transfer before it may come to its end. */
const MOST_KILLS = 4;

export interface RemoteKillOptions {
  readonly directions: readonly Direction[];
  /** Kills in each direction. */
  readonly kills: number;
  readonly size: number;
  /** Bytes a second. */
  readonly rate: number;
  readonly seed: number;
  readonly parallel: number;
  readonly directory: string;
  readonly progress?: (direction: Direction, kills: number) => void;
}

/** Starts the service, and kills transfers to and from it until there were that many kills in each direction. */
export async function runRemoteKills(
  service: ServiceName,
  options: RemoteKillOptions,
): Promise<ReadonlyMap<Direction, Ledger>> {
  const storage = await PLACES[SERVICES[service].place]();
  const found = new Map<Direction, Ledger>();
  try {
    for (const direction of options.directions) {
      found.set(direction, await killDirection({ service, direction, storage }, options));
    }
  } finally {
    await storage.stop();
  }
  return found;
}

interface Subject {
  readonly service: ServiceName;
  readonly direction: Direction;
  readonly storage: StoragePlace;
}

async function killDirection(subject: Subject, options: RemoteKillOptions): Promise<Ledger> {
  const { direction } = subject;
  const share = Math.ceil(options.kills / options.parallel);
  let done = 0;
  const lanes = Array.from({ length: options.parallel }, async (_, index) => {
    const ledger = openLedger();
    const seed = options.seed * 1000 + index + (direction === 'up' ? 100 : 200);
    const next = numbersFrom(seed);
    const random = () => next() / 2 ** 32;
    const lane = await measured(
      await makeRemoteLane({ ...subject, ...options, index, seed, ledger, random }),
    );
    for (let chain = 1; ledger.kills < share; chain += 1) {
      const before = ledger.kills;
      await runRemoteChain(lane, `${lane.name} transfer ${chain}`, Math.min(MOST_KILLS, share - before));
      done += ledger.kills - before;
      options.progress?.(direction, done);
    }
    await subject.storage.remove(direction === 'up' ? lane.destination : lane.source);
    await rm(lane.place.directory, { recursive: true, force: true });
    return ledger;
  });
  return settleLanes(lanes);
}

/** The lane with what an undisturbed run takes besides its bytes: the moments of the kills reach a little beyond its end. */
async function measured(lane: RemoteLane): Promise<RemoteLane> {
  // The first one warms the service up.
  await startProduct(remoteArgs(lane), lane.place.env).ended;
  const { code, seconds, stderr } = await startProduct(remoteArgs(lane), lane.place.env).ended;
  if (code !== 0) throw new Error(`${lane.name}: an undisturbed run ended with ${code}: ${stderr}`);
  const left = await sweep(lane, (what) => {
    throw new Error(`${lane.name}: an undisturbed run ${what}`);
  });
  if (left.length > 0) throw new Error(`${lane.name}: an undisturbed run left ${left[0]?.what}`);
  return { ...lane, overhead: Math.max(0.05, seconds - lane.content.size / lane.rate) };
}
