import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { checkReport } from './chain.ts';
import { findLeftovers, judgeLeftovers, sweep } from './leftovers.ts';
import type { Content } from './place.ts';
import { type Ended, type Running, startProduct } from './product.ts';
import { lookThere, prepareThere, type RemoteLane, readTrack, remoteArgs } from './remote-lane.ts';

/** Bytes that had been sent when a kill came after which a run that begins at 0 is wrong. */
const SURELY_RESUMABLE = 48 * 1024 * 1024;
/** Share of the kills after which somebody cleans up before the next run. */
const CLEANED = 0.2;
/** Milliseconds between two looks at a name that is being replaced. */
const LOOK = 20;

/** Kinds of leftovers that lie on this machine. */
const HERE = new Set(['note', 'report', 'local partial']);

type Violate = (what: string) => void;

interface State {
  readonly old: Content | undefined;
  /** How far the bytes had come when the last run that moved any was killed; undefined when that was told already. */
  frontier: number | undefined;
  /** How far that run had read. */
  read: number;
  /** Bytes that the next run will probably not have to send. */
  known: number;
}

/**
 * One transfer to or from a service, killed up to `most` times, each time at a moment that is uniform over what the rest
 * should take, and run again until it is done. Everything that must hold is checked after every run.
 */
export async function runRemoteChain(lane: RemoteLane, name: string, most: number): Promise<void> {
  const { ledger, random, content } = lane;
  const violate = (what: string) => void ledger.violations.push(`${name}: ${what}`);
  const text = random() < 0.5 ? `old content of ${name}\n`.repeat(1000) : undefined;
  const state: State = { old: await prepareThere(lane, text), frontier: undefined, read: 0, known: 0 };
  for (let kills = 0; ; ) {
    const rest = lane.overhead + (content.size - state.known) / lane.rate;
    await rm(lane.events, { force: true });
    const running = startProduct(remoteArgs(lane), lane.place.env);
    const moment = random() * rest;
    const run = await (kills < most ? killMeasured(running, moment) : unmeasured(running));
    const track = await readTrack(lane);
    const last = state.frontier;
    if (track.from !== undefined && last !== undefined) {
      ledger.again.push(Math.max(0, last - track.from));
      ledger.reread.push(Math.max(0, state.read - track.from));
      state.frontier = undefined;
    }
    if (run.ended.signal === null) {
      await concludeChain(lane, state, { ended: run.ended, from: track.from, last }, violate);
      return;
    }
    kills += 1;
    ledger.kills += 1;
    if (track.from === undefined) ledger.early += 1;
    else {
      state.frontier = lane.direction === 'up' ? track.from + run.written : track.read;
      state.read = track.read;
      state.known = lane.direction === 'up' && !lane.traits.resumesUploads ? 0 : state.frontier;
    }
    const there = await checkThere(lane, state, `killed after ${moment.toFixed(3)} s`, violate);
    judgeLeftovers(await findLeftovers(lane), violate);
    if (there === 'new') {
      ledger.late += 1;
      await runAfterwards(lane, state, violate);
      return;
    }
    if (random() < CLEANED) await cleanInstead(lane, state, violate);
  }
}

/** Somebody cleans up, and the next run begins anew. What there was before is not touched by it. */
async function cleanInstead(lane: RemoteLane, state: State, violate: Violate): Promise<void> {
  await sweep(lane, violate);
  if ((await checkThere(lane, state, 'after clean', violate)) !== 'before')
    violate('clean finished a transfer');
  state.frontier = undefined;
  state.known = 0;
  lane.ledger.cleaned += 1;
}

interface Last {
  readonly ended: Ended;
  readonly from: number | undefined;
  readonly last: number | undefined;
}

async function concludeChain(lane: RemoteLane, state: State, run: Last, violate: Violate): Promise<void> {
  const { ledger, place, direction, traits } = lane;
  const { ended, from, last } = run;
  if (ended.code !== 0) violate(`ended with ${ended.code}: ${ended.stderr}`);
  if ((await checkThere(lane, state, 'after the last run', violate)) !== 'new') violate('it is not there');
  const told = await checkReport(place, violate);
  const resumedFrom = told?.resumedFrom ?? 0;
  if (from !== undefined && resumedFrom !== from) {
    violate(`the report says that it resumed at ${resumedFrom}, the events ${from}`);
  }
  const mayResume = direction === 'down' || traits.resumesUploads;
  if (mayResume && resumedFrom === 0 && (last ?? 0) >= SURELY_RESUMABLE) {
    violate(`${last} bytes had been sent and it started over: ${told?.notes.join('; ')}`);
  }
  if (told && told.attempts.length > 1) violate(`the last run took ${told.attempts.length} attempts`);
  if (told && told.verification.source.grade !== 'end-to-end') {
    violate(`a catalog's digest was checked, the grade is ${told.verification.source.grade}`);
  }
  if (resumedFrom > 0) ledger.resumed += 1;
  ledger.finished += 1;
  await clearUp(lane, violate);
}

/** A kill between the rename and the end of the process: another run does it once more, or finds it done. */
async function runAfterwards(lane: RemoteLane, state: State, violate: Violate): Promise<void> {
  const ended = await startProduct(remoteArgs(lane), lane.place.env).ended;
  if (ended.code !== 0) violate(`after the rename: ended with ${ended.code}: ${ended.stderr}`);
  if ((await checkThere(lane, state, 'after the rename', violate)) !== 'new') violate('it is not there');
  await clearUp(lane, violate);
}

/** What a run that came to its end left on this machine is wrong; what killed ones left at the service is counted. */
async function clearUp(lane: RemoteLane, violate: Violate): Promise<void> {
  const left = await sweep(lane, violate);
  const here = left.filter(({ kind }) => HERE.has(kind));
  if (here.length > 0) violate(`left behind: ${here.map(({ what }) => what).join(', ')}`);
  lane.ledger.orphans += left.length - here.length;
}

/** P1: the final name is absent or old, as it was before, or has exactly the new content. */
async function checkThere(
  lane: RemoteLane,
  { old }: State,
  when: string,
  violate: Violate,
): Promise<'before' | 'new' | 'wrong'> {
  const until = performance.now() + lane.traits.replacing;
  for (;;) {
    const there = await lookThere(lane);
    if (there?.sha256 === lane.content.digest('sha256')) return 'new';
    if (there?.sha256 === old?.sha256) return 'before';
    if (there === undefined && lane.direction === 'up' && performance.now() < until) {
      await delay(LOOK);
      continue;
    }
    violate(`${when}, the final name has ${there ? `${there.size} wrong bytes` : 'lost its old content'}`);
    return 'wrong';
  }
}

interface Measured {
  readonly ended: Ended;
  /** Bytes that the process had handed to the kernel: to sockets and pipes, and a few for its notes. */
  readonly written: number;
}

async function unmeasured(running: Running): Promise<Measured> {
  return { ended: await running.ended, written: 0 };
}

async function killMeasured(running: Running, seconds: number): Promise<Measured> {
  let written = 0;
  const timer = setTimeout(() => {
    written = writtenBytes(running.pid);
    running.kill('SIGKILL');
  }, seconds * 1000);
  const ended = await running.ended;
  clearTimeout(timer);
  return { ended, written };
}

/** proc_pid_io(5). 0 for a process that is gone. */
function writtenBytes(pid: number): number {
  try {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
