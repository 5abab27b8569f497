import fs from 'node:fs';

/** What the kernel counted of a process, under the names of getrusage(2) without their `ru_`. */
export interface Usage {
  /** Seconds of processor time in user space. */
  readonly utime: number;
  /** Seconds of processor time in the kernel. */
  readonly stime: number;
  /** Most memory that was resident at once, KiB: of the largest process, not of all together. */
  readonly maxrss: number;
  /** Page faults without a read. */
  readonly minflt: number;
  /** Page faults that read from a disk. */
  readonly majflt: number;
  /** This and the three of messages and signals: Linux counts none of them, so they are 0. */
  readonly nswap: number;
  /** Blocks of 512 bytes that had to be read from a disk. */
  readonly inblock: number;
  readonly outblock: number;
  readonly msgsnd: number;
  readonly msgrcv: number;
  readonly nsignals: number;
  /** Switches because it waited. */
  readonly nvcsw: number;
  /** Switches because its time was over. */
  readonly nivcsw: number;
}

/** Nothing counted. */
export const NO_USAGE: Usage = {
  utime: 0,
  stime: 0,
  maxrss: 0,
  minflt: 0,
  majflt: 0,
  nswap: 0,
  inblock: 0,
  outblock: 0,
  msgsnd: 0,
  msgrcv: 0,
  nsignals: 0,
  nvcsw: 0,
  nivcsw: 0,
};

/** Bytes of a `struct rusage` where a `long` has 64 bits: two times of 16 bytes, fourteen counts. */
export const RUSAGE_BYTES = 144;

const COUNTS = 32;
const WORD = 8;

/** What a `struct rusage` of getrusage(2) says; the memory of it counts in KiB on Linux. */
export function readUsage(rusage: Buffer): Usage {
  const word = (at: number) => Number(rusage.readBigInt64LE(at));
  const time = (at: number) => word(at) + word(at + WORD) / 1e6;
  const count = (index: number) => word(COUNTS + index * WORD);
  return {
    utime: time(0),
    stime: time(16),
    maxrss: count(0),
    // 1 to 3 are the sizes of shared memory, data and stack, which Linux does not keep.
    minflt: count(4),
    majflt: count(5),
    nswap: count(6),
    inblock: count(7),
    outblock: count(8),
    msgsnd: count(9),
    msgrcv: count(10),
    nsignals: count(11),
    nvcsw: count(12),
    nivcsw: count(13),
  };
}

/** What this process has used so far, its threads included and without its children. */
export function selfUsage(): Usage {
  const own = process.resourceUsage();
  return {
    utime: own.userCPUTime / 1e6,
    stime: own.systemCPUTime / 1e6,
    maxrss: own.maxRSS,
    minflt: own.minorPageFault,
    majflt: own.majorPageFault,
    nswap: own.swappedOut,
    inblock: own.fsRead,
    outblock: own.fsWrite,
    msgsnd: own.ipcSent,
    msgrcv: own.ipcReceived,
    nsignals: own.signalsCount,
    nvcsw: own.voluntaryContextSwitches,
    nivcsw: own.involuntaryContextSwitches,
  };
}

/** Ticks a second in which Linux tells processor time in `/proc` (`USER_HZ`, 100 on every machine node runs on). */
const TICKS = 100;

/** What ended children of this process have used, as far as `/proc/self/stat` tells it: times in ticks of 10 ms, faults. */
export function childrenUsage(): Usage {
  const stat = fs.readFileSync('/proc/self/stat', 'latin1');
  // Behind the name, which may hold anything, from field 3 on (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return {
    ...NO_USAGE,
    minflt: field(11),
    majflt: field(13),
    utime: field(16) / TICKS,
    stime: field(17) / TICKS,
  };
}

/** What was counted between two looks; the largest size is not a difference and stays. */
export function usageBetween(before: Usage, after: Usage): Usage {
  const names = Object.keys(after) as (keyof Usage)[];
  const difference = names.map((name) => [name, after[name] - before[name]]);
  return { ...(Object.fromEntries(difference) as unknown as Usage), maxrss: after.maxrss };
}
