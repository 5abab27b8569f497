import { open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { checkReport, checkTidy, type Lane, productArgs } from './chain.ts';
import { type KillOptions, withLane } from './kills.ts';
import type { Ledger } from './ledger.ts';
import { findPartials, readContent, type Told, writeList } from './place.ts';
import { killWhen, startProduct } from './product.ts';
import type { SubjectName } from './subject.ts';

/** From here on a partial is journaled in blocks of this many bytes. */
const BLOCK = 4 * 1024 * 1024;
/** Seconds that the end by a polite signal may take (P8). */
const POLITE = 5;

/** What came between two runs, as far as the second one is judged by it. */
interface Between {
  /** The run must not go on behind this byte. */
  readonly most?: number;
  /** It must go on behind this byte at least. */
  readonly least?: number;
  /** It must say that it started over. */
  readonly startsOver?: true;
}

interface Variant {
  readonly name: string;
  readonly signal?: NodeJS.Signals;
  /** Runs at once. */
  readonly reruns?: number;
  happen(lane: Lane, partial: { readonly path: string; readonly size: number }): Promise<Between>;
}

const VARIANTS: readonly Variant[] = [
  {
    name: 'the source changes',
    async happen({ subject, place }) {
      await subject.change();
      await writeList(place, subject.wanted());
      return { most: 0, startsOver: true };
    },
  },
  {
    name: 'a byte of the partial flips',
    async happen({ random }, { path, size }) {
      const at = Math.floor(random() * size);
      await flip(path, at);
      return { most: Math.floor(at / BLOCK) * BLOCK };
    },
  },
  {
    name: 'the partial is cut short',
    async happen({ random }, { path, size }) {
      const length = Math.floor(random() * size);
      await truncate(path, length);
      return { most: length };
    },
  },
  {
    name: 'a byte of the journal flips',
    async happen({ random }, { path }) {
      const { size } = await stat(`${path}.journal`);
      await flip(`${path}.journal`, Math.floor(random() * size));
      return {};
    },
  },
  {
    name: 'the journal is cut short',
    async happen({ random }, { path }) {
      const { size } = await stat(`${path}.journal`);
      await truncate(`${path}.journal`, Math.floor(random() * size));
      return {};
    },
  },
  {
    name: 'the journal is gone',
    async happen(_, { path }) {
      await rm(`${path}.journal`);
      return { most: 0 };
    },
  },
  {
    name: 'the partial is another file of that size',
    async happen(_, { path, size }) {
      await writeFile(`${path}.new`, Buffer.alloc(size, 'x'));
      await rename(`${path}.new`, path);
      return { most: 0 };
    },
  },
  { name: 'two run it again at once', reruns: 2, happen: async () => ({}) },
  {
    name: 'it was SIGTERM',
    signal: 'SIGTERM',
    happen: async (_, { size }) => ({ least: Math.max(0, size - 6 * BLOCK) }),
  },
];

export interface VariantOptions extends Omit<KillOptions, 'kills' | 'parallel' | 'progress'> {
  /** Times that each of them is tried. */
  readonly rounds: number;
}

/** Breaks a transfer off, lets something happen, runs it again: the result must be right whatever it was. */
export async function runVariants(name: SubjectName, options: VariantOptions): Promise<Ledger> {
  return withLane(name, options, 900, async (lane) => {
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const variant of VARIANTS) await runVariant(lane, variant, `${name} ${round}: ${variant.name}`);
    }
  });
}

async function runVariant(lane: Lane, variant: Variant, name: string): Promise<void> {
  const { place, subject, ledger, random } = lane;
  const violate = (what: string) => ledger.violations.push(`${name}: ${what}`);
  await rm(place.destination, { force: true });
  await writeList(place, subject.wanted());
  const signal = variant.signal ?? 'SIGKILL';
  // In the middle: what happens needs something to happen to.
  const enough = (0.3 + 0.5 * random()) * subject.size;
  const broken = await killWhen(startProduct(productArgs(lane), place.env), signal, async () => {
    const partials = await findPartials(place).catch(() => []);
    return partials.some(({ size }) => size >= enough);
  });
  if (broken.code === 0) return;
  ledger.kills += 1;
  if (signal !== 'SIGKILL') {
    if (broken.seconds > POLITE) violate(`${broken.seconds.toFixed(1)} s until it ended`);
    if (broken.code !== 143) violate(`ended with ${broken.code ?? broken.signal}`);
  }
  const [partial] = await findPartials(place);
  if (!partial) return void violate('no partial');
  const between = await variant.happen(lane, partial);
  subject.traffic();
  const runs = Array.from({ length: variant.reruns ?? 1 }, () => startProduct(productArgs(lane), place.env));
  for (const run of runs) {
    const ended = await run.ended;
    if (ended.code !== 0) violate(`ended with ${ended.code}: ${ended.stderr}`);
  }
  const told = await checkReport(place, violate);
  if (told) judge(told, between, violate);
  if ((told?.resumedFrom ?? 0) > 0) ledger.resumed += 1;
  const there = await readContent(place.destination);
  if (there?.sha256 !== subject.wanted().sha256) violate(`wrong content of ${there?.size} bytes`);
  ledger.finished += 1;
  await checkTidy(place, violate);
}

function judge(told: Told, between: Between, violate: (what: string) => void): void {
  const { resumedFrom, notes, attempts } = told;
  const { most = Number.POSITIVE_INFINITY, least = 0 } = between;
  if (resumedFrom > most) violate(`resumed at ${resumedFrom}, only ${most} bytes were right`);
  if (resumedFrom < least) violate(`resumed at ${resumedFrom}, ${least} bytes were there`);
  // What is wrong with a partial must be known before it is built upon, not by a digest that is wrong in the end.
  if (attempts.length > 1) violate(`it took ${attempts.length} attempts`);
  const startedOver = notes.some((note) => note.startsWith('started over'));
  if (between.startsOver && !startedOver) violate(`does not say that it started over: ${notes.join('; ')}`);
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  const file = await open(path, 'r+');
  await file.write(Buffer.of((bytes[at] ?? 0) ^ 0xff), 0, 1, at);
  await file.close();
}
