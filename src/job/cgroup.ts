import fs from 'node:fs';
import { join } from 'node:path';

/** What the kernel counted of the control group that this process is in, while a job ran. Absent: not told there. */
export interface CgroupUsage {
  /** KiB at once, of all processes together, page cache included. */
  readonly memoryPeak?: number;
  /** KiB at once without page cache, the largest of what was seen. */
  readonly anonymousPeak?: number;
  /** Bytes read from block devices. */
  readonly readBytes?: number;
  readonly writtenBytes?: number;
  /** Processes that the kernel killed because memory was short. */
  readonly oomKills?: number;
}

/** Counts from its making on. */
export interface CgroupMeter {
  /** Looks at what is told of the moment alone. */
  sample(): void;
  /** Call once. */
  end(): CgroupUsage;
}

/** Where to look; others than `/` are for tests. */
const ROOT = '/';
const KIB = 1024;

/**
 * A meter of the control group (version 2) that this process is in; undefined where there is none, or where it has no
 * controller of memory or I/O. The files are those of the kernel's `Documentation/admin-guide/cgroup-v2.rst`.
 */
export function startCgroupMeter(root = ROOT): CgroupMeter | undefined {
  const directory = ownGroup(root);
  if (directory === undefined) return undefined;
  const file = (name: string) => join(directory, name);
  const io = () => readIo(textOf(file('io.stat')));
  const kills = () => field(textOf(file('memory.events')), 'oom_kill');
  const anon = () => field(textOf(file('memory.stat')), 'anon');
  const peak = openPeak(file('memory.peak'));
  const before = { io: io(), kills: kills() };
  let largest = anon();
  if (peak === undefined && before.io === undefined && before.kills === undefined && largest === undefined) {
    return undefined;
  }
  const sample = () => {
    const now = anon();
    if (now !== undefined && (largest === undefined || now > largest)) largest = now;
  };
  return {
    sample,
    end() {
      sample();
      const [ioNow, killsNow, peakNow] = [io(), kills(), peak?.end()];
      return {
        ...(peakNow === undefined ? {} : { memoryPeak: Math.round(peakNow / KIB) }),
        ...(largest === undefined ? {} : { anonymousPeak: Math.round(largest / KIB) }),
        ...(ioNow && before.io
          ? { readBytes: ioNow.read - before.io.read, writtenBytes: ioNow.written - before.io.written }
          : {}),
        ...(killsNow === undefined || before.kills === undefined
          ? {}
          : { oomKills: killsNow - before.kills }),
      };
    },
  };
}

/** By `/proc/self/cgroup` and where the hierarchy is mounted; undefined for one that lies outside of what is seen. */
function ownGroup(root: string): string | undefined {
  const path = /^0::(\/.*)$/m.exec(textOf(join(root, 'proc/self/cgroup')) ?? '')?.[1];
  if (path === undefined || path.split('/').includes('..')) return undefined;
  for (const line of (textOf(join(root, 'proc/self/mountinfo')) ?? '').split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , top, point] = before.split(' ');
    if (!after.startsWith('cgroup2 ') || top === undefined || point === undefined) continue;
    const inside =
      top === '/'
        ? path
        : path === top
          ? '/'
          : path.startsWith(`${top}/`)
            ? path.slice(top.length)
            : undefined;
    if (inside !== undefined) return join(root, unescaped(point), inside);
  }
  return undefined;
}

/** Blanks and the like in mount points are three octal digits (proc_pid_mountinfo(5)). */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/**
 * The largest memory since now. Linux 6.12 begins anew for whoever writes to the file; before that, or where it cannot be
 * written to, it counts from the group's beginning, and only one that grew was reached since.
 */
function openPeak(path: string): { end(): number | undefined } | undefined {
  const earlier = numberOf(textOf(path));
  if (earlier === undefined) return undefined;
  let fd: number | undefined;
  try {
    fd = fs.openSync(path, fs.constants.O_RDWR);
    fs.writeSync(fd, 'reset\n');
  } catch {
    if (fd !== undefined) fs.closeSync(fd);
    fd = undefined;
  }
  return {
    end() {
      if (fd === undefined) {
        const now = numberOf(textOf(path));
        return now !== undefined && now > earlier ? now : undefined;
      }
      try {
        const buffer = Buffer.alloc(64);
        return numberOf(buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0)));
      } catch {
        return undefined;
      } finally {
        fs.closeSync(fd);
      }
    },
  };
}

/** Lines of `MAJOR:MINOR key=value …`, over all devices; a group that has done none has an empty file. */
function readIo(text: string | undefined): { readonly read: number; readonly written: number } | undefined {
  if (text === undefined) return undefined;
  const sum = (key: string) =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce(
      (all, [, value]) => all + Number(value),
      0,
    );
  return { read: sum('rbytes'), written: sum('wbytes') };
}

/** Of lines of `key value`. */
const field = (text: string | undefined, key: string): number | undefined =>
  numberOf(new RegExp(`^${key} (\\d+)$`, 'm').exec(text ?? '')?.[1]);

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined;

function textOf(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
