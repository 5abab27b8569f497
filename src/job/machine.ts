import fs from 'node:fs';
import os from 'node:os';
import { countProcesses, type ProcessCounts } from './processes.ts';

/** What is known of the machine that a job ran on. Memory in KiB. */
export interface Machine {
  readonly pageSize: number;
  readonly system: string;
  readonly node: string;
  readonly release: string;
  readonly hardware: string;
  readonly memory: Readonly<
    Record<'total' | 'free' | 'shared' | 'buffer' | 'swapTotal' | 'swapFree', number>
  >;
  readonly cpu: {
    readonly count: number;
    readonly speed: number;
    readonly vendor: string;
    readonly model: string;
  };
  readonly load: readonly number[];
  readonly processes: ProcessCounts;
}

/** Looks at /proc; what is not there counts as 0. */
export async function lookAtMachine(): Promise<Machine> {
  const memory = readMemory();
  return {
    pageSize: pageSize(),
    system: os.type().toLowerCase(),
    node: os.hostname().toLowerCase(),
    release: os.release(),
    hardware: os.machine().toLowerCase(),
    memory,
    cpu: readCpu(),
    load: os.loadavg(),
    processes: await countProcesses(pageSize() / 1024),
  };
}

/** Of /proc/meminfo, where the numbers are those of sysinfo(2). */
function readMemory(): Machine['memory'] {
  const text = readOr('/proc/meminfo');
  const value = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    total: value('MemTotal'),
    free: value('MemFree'),
    shared: value('Shmem'),
    buffer: value('Buffers'),
    swapTotal: value('SwapTotal'),
    swapFree: value('SwapFree'),
  };
}

/** Of the first processor in /proc/cpuinfo; other machines than x86 have no such lines. */
function readCpu(): Machine['cpu'] {
  const text = readOr('/proc/cpuinfo');
  const value = (name: string) =>
    new RegExp(`^${name}[ \\t]*:[ \\t]*(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  return {
    count: text.match(/^processor/gm)?.length ?? 0,
    speed: Math.round(Number(value('cpu MHz')) || 0),
    vendor: value('vendor_id'),
    model: value('model name').replace(/\s+/g, ' '),
  };
}

const PAGE_SIZE = 6n;
const WORD = 8;
let page: number | undefined;

/** What the kernel told this process when it started it: AT_PAGESZ of getauxval(3). */
function pageSize(): number {
  if (page !== undefined) return page;
  try {
    const vector = fs.readFileSync('/proc/self/auxv');
    for (let at = 0; at + 2 * WORD <= vector.length; at += 2 * WORD) {
      if (vector.readBigUInt64LE(at) === PAGE_SIZE) page = Number(vector.readBigUInt64LE(at + WORD));
    }
  } catch {
    page = undefined;
  }
  page ??= 4096;
  return page;
}

function readOr(path: string): string {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
