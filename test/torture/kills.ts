import { rm } from 'node:fs/promises';
import { numbersFrom } from '../../fixtures/misbehaving/content.ts';
import { type Lane, productArgs, runChain } from './chain.ts';
import { type Ledger, openLedger, sumLedgers } from './ledger.ts';
import { makePlace, readReport, writeList } from './place.ts';
import { startProduct } from './product.ts';
import { type SubjectName, startSubject } from './subject.ts';

export interface KillOptions {
  readonly kills: number;
  readonly size: number;
  /** Bytes a second. */
  readonly rate: number;
  readonly seed: number;
  readonly parallel: number;
  /** Of an existing directory, best in memory. */
  readonly directory: string;
  readonly progress?: (kills: number) => void;
}

/** Kills transfers of one subject until there were that many kills; lanes side by side, each with numbers of its own. */
export async function runKills(name: SubjectName, options: KillOptions): Promise<Ledger> {
  const lanes = Array.from({ length: options.parallel }, (_, index) => index);
  const share = Math.ceil(options.kills / options.parallel);
  let done = 0;
  const ledgers = lanes.map(async (index) => {
    return withLane(name, options, index, async (lane) => {
      for (let chain = 1; lane.ledger.kills < share; chain += 1) {
        const before = lane.ledger.kills;
        await rm(lane.place.destination, { force: true });
        await runChain(lane, `${name} lane ${index} transfer ${chain}`, Math.min(4, share - before));
        done += lane.ledger.kills - before;
        options.progress?.(done);
      }
    });
  });
  return sumLedgers(await Promise.all(ledgers));
}

/** Makes a lane, runs what is to be run in it, and clears it away. */
export async function withLane(
  name: SubjectName,
  options: Omit<KillOptions, 'kills' | 'parallel' | 'progress'>,
  index: number,
  work: (lane: Lane) => Promise<void>,
): Promise<Ledger> {
  const seed = options.seed * 1000 + index;
  const place = await makePlace(options.directory, `${name}-${index}`);
  const subject = await startSubject(name, { ...options, seed });
  const next = numbersFrom(seed);
  const ledger = openLedger();
  try {
    const bare: Lane = { place, subject, ledger, random: () => next() / 2 ** 32, overhead: 0 };
    const overhead = await measureOverhead(bare);
    await work({ ...bare, overhead });
  } finally {
    await subject.close();
    await rm(place.directory, { recursive: true, force: true });
  }
  return ledger;
}

/** What an undisturbed run takes besides its bytes, in seconds: the moments of the kills reach a little beyond its end. */
async function measureOverhead({ place, subject, ...lane }: Lane): Promise<number> {
  await writeList(place, subject.wanted());
  const ended = await startProduct(productArgs({ place, subject, ...lane }), place.env).ended;
  const told = await readReport(place);
  subject.traffic();
  if (ended.code !== 0 || told?.status !== 'done') {
    throw new Error(`an undisturbed run ended with ${ended.code}: ${ended.stderr}`);
  }
  return Math.max(0.05, ended.seconds - subject.size / subject.rate);
}
