import { allProcesses, isLive, type ProcessStat, processStat } from './proc.ts';

/** Looks for processes that appeared while the others were being stopped; a bomb of hundreds takes three. */
const ROUNDS = 100;

/** Everything live that descends from `roots` or is in a session of theirs, wherever it went. */
export function kinOf(roots: readonly number[]): ProcessStat[] {
  // Looking at every process of a machine takes longer than most of what is done here.
  if (roots.length === 0) return [];
  const all = allProcesses();
  const kin = new Set(roots);
  const sessions = new Set(roots);
  for (let size = -1; size !== kin.size; ) {
    size = kin.size;
    for (const { pid, parent, session } of all) if (kin.has(parent) || sessions.has(session)) kin.add(pid);
  }
  return all.filter((one) => kin.has(one.pid) && isLive(one));
}

/** Sends a signal to each; whoever is gone meanwhile has no need of it. */
export function tell(pids: Iterable<number>, signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {}
  }
}

/**
 * Kills all that `find` finds, and what those start meanwhile: they are stopped first, so that they start nothing any
 * more. Returns their ids; they may need a moment to be gone.
 */
export function killAll(find: () => readonly ProcessStat[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (let round = 0; round < ROUNDS; round++) {
    const fresh = find().filter(({ pid }) => !found.has(pid));
    if (fresh.length === 0) break;
    tell(
      fresh.map(({ pid }) => pid),
      'SIGSTOP',
    );
    for (const { pid } of fresh) found.add(pid);
  }
  tell(found, 'SIGKILL');
  return found;
}

/** Those that can still do something. */
export function liveOf(pids: Iterable<number>): number[] {
  return [...pids].filter((pid) => {
    const stat = processStat(pid);
    return stat !== undefined && isLive(stat);
  });
}

/** Signals that do not wait until a stopped process goes on, or that say themselves whether it does. */
const IMMEDIATE: ReadonlySet<NodeJS.Signals> = new Set([
  'SIGKILL',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
]);

/** To the group of `leader` in one call, which nothing that it starts can slip through; then to what is elsewhere. */
export function send(leader: number, signal: NodeJS.Signals, find: () => readonly ProcessStat[]): void {
  if (signal === 'SIGKILL') {
    tell([-leader], signal);
    killAll(find);
    return;
  }
  const elsewhere = find().filter(({ group }) => group !== leader);
  const all = [-leader, ...elsewhere.map(({ pid }) => pid)];
  tell(all, signal);
  if (!IMMEDIATE.has(signal)) tell(all, 'SIGCONT');
}
