import { mkdir, rm } from 'node:fs/promises';
import { numbersFrom } from '../../fixtures/misbehaving/content.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { checkCache, checkTarget, leftOf, type There } from './image-check.ts';
import {
  IMAGE_BYTES,
  type ImageLane,
  type ImageSubjectName,
  imageArgs,
  makeImageLane,
  prepareTarget,
} from './image-lane.ts';
import { type Ledger, openLedger, settleLanes } from './ledger.ts';
import { type Ended, killAfter, startProduct } from './product.ts';

/** Kills of one image before it may come to its end. */
const MOST_KILLS = 3;
/** Bytes that are no layers: manifests, configurations, headers, and questions whether something is there. */
const AROUND = 256 * 1024;
/** Share of the image that 64 pulls may make the registry send beside it when their holder is killed. */
const SLACK = 0.1 * IMAGE_BYTES;

export interface ImageKillOptions {
  readonly kills: number;
  readonly seed: number;
  readonly parallel: number;
  readonly directory: string;
  readonly progress?: (kills: number) => void;
}

/** Starts a registry, and kills what is done with images until there were that many kills. */
export async function runImageKills(subject: ImageSubjectName, options: ImageKillOptions): Promise<Ledger> {
  const registry = await startServer('registry');
  const share = Math.ceil(options.kills / options.parallel);
  let done = 0;
  try {
    const lanes = Array.from({ length: options.parallel }, async (_, index) => {
      const ledger = openLedger();
      const seed = options.seed * 1000 + index;
      const next = numbersFrom(seed);
      const random = () => next() / 2 ** 32;
      const lane = await makeImageLane({ ...options, subject, index, seed, registry, ledger, random });
      try {
        for (let chain = 1; ledger.kills < share; chain += 1) {
          const before = ledger.kills;
          await runImageChain(lane, `${lane.name} image ${chain}`, Math.min(MOST_KILLS, share - before));
          done += ledger.kills - before;
          options.progress?.(done);
        }
      } finally {
        await lane.proxy.close();
        await rm(lane.place.directory, { recursive: true, force: true });
      }
      return ledger;
    });
    return await settleLanes(lanes);
  } finally {
    await registry.stop();
  }
}

interface Chain {
  readonly name: string;
  readonly old: readonly (string | undefined)[];
  readonly violate: (what: string) => void;
}

/**
 * One image, killed up to `most` times, each time at a moment that is uniform over what an undisturbed run takes and a
 * little more, and begun again until it is done. Everything that must hold is checked after every run.
 */
async function runImageChain(lane: ImageLane, name: string, most: number): Promise<void> {
  const { ledger, random, traits } = lane;
  const chain: Chain = {
    name,
    old: [await prepareTarget(lane), traits.isShared ? await prepareTarget(lane, 1) : undefined],
    violate: (what) => void ledger.violations.push(`${name}: ${what}`),
  };
  const carried = countOf(lane);
  let kills = 0;
  let total: number | undefined;
  for (;;) {
    const before = carried();
    const moment = kills < most ? random() * lane.seconds * 1.1 : Number.POSITIVE_INFINITY;
    const { ended, other } = await runBoth(lane, name, moment);
    if (other) await requireEnd(lane, chain, other, 1);
    if (ended.signal === null) {
      await requireEnd(lane, chain, ended, 0);
      if (kills > 0 && carried() - before < IMAGE_BYTES - AROUND) ledger.resumed += 1;
      break;
    }
    kills += 1;
    ledger.kills += 1;
    if (carried() - before < AROUND) ledger.early += 1;
    const there = await look(lane, chain, 0, `killed after ${moment.toFixed(3)} s`);
    await checkCache(lane, chain.violate);
    if (there !== 'new') continue;
    // The next run asks for all once more where nothing tells it that this was the image.
    ledger.late += 1;
    total = carried();
    await requireEnd(lane, chain, (await runBoth(lane, name, Number.POSITIVE_INFINITY)).ended, 0);
    break;
  }
  await judge(lane, chain, { kills, total: total ?? carried() });
}

async function runBoth(lane: ImageLane, name: string, moment: number) {
  const killed = startProduct(imageArgs(lane, name), lane.place.env);
  const other = lane.traits.isShared ? startProduct(imageArgs(lane, name, 1), lane.place.env) : undefined;
  const ended = await (moment === Number.POSITIVE_INFINITY ? killed.ended : killAfter(killed, moment));
  return { ended, other: await other?.ended };
}

async function requireEnd(lane: ImageLane, chain: Chain, ended: Ended, which: number): Promise<void> {
  if (ended.code !== 0) chain.violate(`ended with ${ended.code ?? ended.signal}: ${ended.stderr}`);
  if ((await look(lane, chain, which, 'after a whole run')) !== 'new') chain.violate('it is not there');
  await checkCache(lane, chain.violate);
}

function look(lane: ImageLane, { name, old, violate }: Chain, which: number, when: string): Promise<There> {
  return checkTarget(lane, { old: old[which], chain: name, which }, when, violate);
}

async function judge(
  lane: ImageLane,
  { violate }: Chain,
  { kills, total }: { readonly kills: number; readonly total: number },
): Promise<void> {
  const { ledger, traits, cache } = lane;
  const again = Math.max(0, total - IMAGE_BYTES);
  for (let kill = 0; kill < kills; kill += 1) ledger.again.push(again / kills);
  const most = kills * (traits.mostAgain + AROUND) + SLACK;
  if (again > most) violate(`${again} bytes again for ${kills} kills, at most ${most}`);
  const left = await leftOf(lane);
  if (left.length > 0) violate(`left behind: ${left.join(', ')}`);
  await rm(cache, { recursive: true, force: true });
  for (const folder of ['out', 'tmp', 'home/state']) await clear(lane, folder);
  ledger.finished += 1;
}

async function clear({ place }: ImageLane, folder: string): Promise<void> {
  await rm(`${place.directory}/${folder}`, { recursive: true, force: true });
  await mkdir(`${place.directory}/${folder}`, { recursive: true });
}

/** Bytes that went in the direction of the image since now. */
function countOf({ proxy, traits }: ImageLane): () => number {
  const count = () => (traits.verb === 'push' ? proxy.counts().bytesUp : proxy.counts().bytesDown);
  const began = count();
  return () => count() - began;
}
