import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ledger } from './ledger.ts';
import {
  type Content,
  findPartials,
  leftBehind,
  type Place,
  readContent,
  readReport,
  type Told,
  writeList,
} from './place.ts';
import { type Ended, killAfter, startProduct } from './product.ts';
import type { Subject } from './subject.ts';

/** Kills of one transfer before it may come to its end: each halves what is left on average. */
const MOST_KILLS = 4;
/** A partial of this size has had a block written down, however far the digests were behind the bytes. */
const SURELY_RESUMABLE = 24 * 1024 * 1024;

export interface Lane {
  readonly place: Place;
  readonly subject: Subject;
  readonly ledger: Ledger;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Seconds that a run takes besides its bytes. */
  readonly overhead: number;
}

/** What a chain knows between its runs. */
interface State {
  /** Size and digest that the final name had before. */
  readonly old: Content | undefined;
  readonly wanted: string;
  /** How far the bytes had come when the last run was killed. */
  frontier: number | undefined;
  partial: number;
}

/** The command line of a run in this lane. */
export function productArgs({ place, subject }: Lane): string[] {
  return ['transfer', '--quiet', '--file', place.list, '--report', place.report, ...subject.args];
}

/**
 * One transfer, killed up to `most` times, each time at a moment that is uniform over what the rest should take, and
 * run again until it is done. Everything that must hold is checked after every run; what does not is written down.
 */
export async function runChain(lane: Lane, name: string, most = MOST_KILLS): Promise<void> {
  const { place, subject, ledger, random } = lane;
  const violate = (what: string) => ledger.violations.push(`${name}: ${what}`);
  const wanted = subject.wanted();
  await writeList(place, wanted);
  const old = random() < 0.5 ? await writeOld(place, name) : undefined;
  const state: State = { old, wanted: wanted.sha256, frontier: undefined, partial: 0 };
  for (let kills = 0; ; ) {
    const rest = lane.overhead + (subject.size - state.partial) / subject.rate;
    const running = startProduct(productArgs(lane), place.env);
    const moment = random() * rest;
    const ended = await (kills < most ? killAfter(running, moment) : running.ended);
    const traffic = subject.traffic();
    if (state.frontier !== undefined && traffic) ledger.again.push(state.frontier - traffic.start);
    if (ended.signal === null) {
      await concludeChain(lane, state, ended, traffic?.start, violate);
      return;
    }
    kills += 1;
    ledger.kills += 1;
    if (traffic) state.frontier = traffic.start + traffic.bytes;
    const there = await checkName(place, state, `killed after ${moment.toFixed(3)} s`, violate);
    const partials = await findPartials(place);
    state.partial = Math.max(0, ...partials.map(({ size }) => size));
    if (there === 'new') {
      ledger.late += 1;
      await tidy(lane, violate);
      return;
    }
    if (partials.length > 1) violate(`${partials.length} partials of one transfer`);
    if (state.partial === 0) ledger.early += 1;
  }
}

async function concludeChain(
  lane: Lane,
  state: State,
  ended: Ended,
  start: number | undefined,
  violate: (what: string) => void,
): Promise<void> {
  const { place, subject, ledger } = lane;
  if (ended.code !== 0) violate(`ended with ${ended.code}: ${ended.stderr}`);
  if ((await checkName(place, state, 'after the last run', violate)) !== 'new') violate('it is not there');
  const told = await checkReport(place, violate);
  const resumedFrom = told?.resumedFrom ?? 0;
  if (start !== undefined && start !== resumedFrom) {
    violate(`it says that it resumed at ${resumedFrom}, it asked from ${start}`);
  }
  if (state.partial >= SURELY_RESUMABLE && resumedFrom === 0) {
    violate(`${state.partial} bytes were there and it started over: ${told?.notes.join('; ')}`);
  }
  if (told && told.attempts.length > 1) violate(`the last run took ${told.attempts.length} attempts`);
  // Nobody counts what a local copy reads; what it wrote before is seen by the partial.
  if (start === undefined && state.partial > 0) ledger.again.push(state.partial - resumedFrom);
  if (resumedFrom > 0) ledger.resumed += 1;
  ledger.finished += 1;
  await checkTidy(place, violate);
  if (told && told.verification.source.grade !== 'end-to-end') {
    violate(`a catalog's digest was checked, the grade is ${told.verification.source.grade}`);
  }
  subject.traffic();
}

/** A kill between the rename and the end of the process: another run finds nothing to resume, and leaves nothing. */
async function tidy(lane: Lane, violate: (what: string) => void): Promise<void> {
  const ended = await startProduct(productArgs(lane), lane.place.env).ended;
  if (ended.code !== 0) violate(`after the rename: ended with ${ended.code}: ${ended.stderr}`);
  await checkTidy(lane.place, violate);
  lane.subject.traffic();
}

/** P9: nothing but the result and the report is left. What is left is removed, to be told once. */
export async function checkTidy(place: Place, violate: (what: string) => void): Promise<void> {
  const left = await leftBehind(place);
  if (left.length > 0) violate(`left behind: ${left.join(', ')}`);
  for (const path of left) await rm(join(place.directory, path), { recursive: true, force: true });
}

/** The report, which must say that the transfer is done. */
export async function checkReport(place: Place, violate: (what: string) => void): Promise<Told | undefined> {
  const told = await readReport(place);
  if (told?.status !== 'done') violate(`the report says ${told?.status ?? 'nothing'}`);
  return told;
}

/** P1: the final name is absent or old, as it was before, or has exactly the new content. */
export async function checkName(
  place: Place,
  state: Pick<State, 'old' | 'wanted'>,
  when: string,
  violate: (what: string) => void,
): Promise<'before' | 'new' | 'wrong'> {
  const there = await readContent(place.destination);
  if (there?.sha256 === state.wanted) return 'new';
  if (there?.sha256 === state.old?.sha256) return 'before';
  violate(`${when}, the final name has ${there ? `${there.size} wrong bytes` : 'lost its old content'}`);
  return 'wrong';
}

/** Puts other content under the final name. */
export async function writeOld(place: Place, name: string): Promise<Content | undefined> {
  await writeFile(place.destination, `old content of ${name}\n`.repeat(10_000));
  return readContent(place.destination);
}
