import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { checkName, checkReport, checkTidy, type Lane, productArgs, writeOld } from './chain.ts';
import { type KillOptions, withLane } from './kills.ts';
import type { Ledger } from './ledger.ts';
import { type Content, findPartials, writeList } from './place.ts';
import { type Ended, startProduct } from './product.ts';
import type { SubjectName } from './subject.ts';

/** System calls that change what a later run finds, and which of them are tried: every one, or every so many. */
const CALLS: Readonly<Record<string, number>> = {
  rename: 1,
  unlink: 1,
  mkdir: 1,
  rmdir: 1,
  fsync: 1,
  fchmod: 1,
  ftruncate: 1,
  pwrite64: 3,
  write: 1,
};
/** Made by the thread pool. Calls are counted by thread: where all of them count, the main one's are not all reached. */
const POOLED = new Set(['mkdir', 'rmdir']);
/** More calls of one name than a transfer makes: a bound, should it never end by itself. */
const MOST = 200;

export interface CallLedger extends Ledger {
  /** Kills of a resumed run after which the next one started over: correct, but all is sent again. */
  readonly startedOver: string[];
}

/** True where `strace` may kill a process at a system call. */
export function canKillAtCalls(): boolean {
  return spawnSync('strace', ['-f', '-e', 'trace=fsync', 'true']).status === 0;
}

/**
 * Kills a transfer right before each of the system calls that matter, a fresh transfer and one that resumes: the
 * moments between two calls are microseconds, and random kills hardly ever find them.
 */
export async function runCallKills(
  name: SubjectName,
  options: Omit<KillOptions, 'kills' | 'parallel' | 'progress'>,
): Promise<CallLedger> {
  const startedOver: string[] = [];
  const ledger = await withLane(name, options, 950, async (lane) => {
    for (const resumes of [false, true]) {
      for (const [call, step] of Object.entries(CALLS)) {
        for (let nth = 1; nth <= MOST; nth += step) {
          const what = `${name}: ${resumes ? 'resuming' : 'fresh'}, killed before ${call} ${nth}`;
          const killed = await killAt(lane, { call, nth, resumes, what, startedOver });
          if (!killed) break;
        }
      }
    }
  });
  return { ...ledger, startedOver };
}

interface CallKill {
  readonly call: string;
  readonly nth: number;
  readonly resumes: boolean;
  readonly what: string;
  readonly startedOver: string[];
}

/** False when the run made fewer calls of this name than that. */
async function killAt(lane: Lane, kill: CallKill): Promise<boolean> {
  const { place, subject, ledger } = lane;
  const violate = (text: string) => ledger.violations.push(`${kill.what}: ${text}`);
  await rm(place.destination, { force: true });
  const old: Content | undefined = kill.nth % 2 === 0 ? await writeOld(place, kill.what) : undefined;
  const state = { old, wanted: subject.wanted().sha256 };
  await writeList(place, subject.wanted());
  // All bytes are there, the last block is not written down: what a resumed run finds.
  if (kill.resumes) await runUntil(lane, 'fsync', 1);
  const ended = await runUntil(lane, kill.call, kill.nth);
  const killed = ended.signal === 'SIGKILL';
  if (!killed && ended.code !== 0) violate(`ended with ${ended.code}: ${ended.stderr}`);
  if (killed) {
    ledger.kills += 1;
    const there = await checkName(place, state, 'after the kill', violate);
    if (there === 'new') ledger.late += 1;
    else if ((await findPartials(place)).length === 0) ledger.early += 1;
    const again = await startProduct(productArgs(lane), place.env).ended;
    if (again.code !== 0) violate(`the next run ended with ${again.code}: ${again.stderr}`);
    const told = await checkReport(place, violate);
    if ((told?.resumedFrom ?? 0) > 0) ledger.resumed += 1;
    else if (kill.resumes && there !== 'new') kill.startedOver.push(kill.what);
  }
  if ((await checkName(place, state, 'at the end', violate)) !== 'new') violate('it is not there');
  ledger.finished += 1;
  await checkTidy(place, violate);
  return killed;
}

function runUntil(lane: Lane, call: string, nth: number): Promise<Ended> {
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${nth}`];
  const threads = POOLED.has(call) ? ['-f'] : [];
  const strace = ['strace', ...threads, '-qqq', '-o', '/dev/null', ...inject];
  return startProduct(productArgs(lane), lane.place.env, strace).ended;
}
