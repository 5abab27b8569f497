import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { hostname } from 'node:os';

/** A writer of another machine is taken for dead when its partial was not written to for this long. */
const FOREIGN_LEASE_MS = 15 * 60 * 1000;

const WRITER_SHAPE = /^([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{12})$/;

let own: string | undefined;

/**
 * This process, in 30 characters: machine (host, boot and pid namespace), pid, start time. Two live processes never
 * share it, and every process of the machine can tell whether its owner still lives.
 */
export function writerId(): string {
  own ??= `${machine()}-${hex(process.pid, 8)}-${startTime(process.pid) ?? hex(0, 12)}`;
  return own;
}

/** True when the process behind `writer` may still be writing; `touched` is when its partial last changed. */
export function writerLives(writer: string, touched: number, now: number): boolean {
  const shape = WRITER_SHAPE.exec(writer);
  if (!shape) return false;
  if (writer === writerId()) return true;
  if (shape[1] !== machine()) return now - touched < FOREIGN_LEASE_MS;
  return startTime(Number.parseInt(shape[2] ?? '', 16)) === shape[3];
}

/** True when only a look at this machine's processes tells whether `writer` lives. */
export function isOfThisMachine(writer: string): boolean {
  return WRITER_SHAPE.exec(writer)?.[1] === machine();
}

let tag: string | undefined;

/**
 * 16 hexadecimal digits for a name that other machines see too: half of them tell this process from every other live one
 * of the machine, half are chance.
 */
export function newNonce(): string {
  tag ??= tagOf(writerId());
  return tag + randomBytes(4).toString('hex');
}

/** True when a live process of this machine made the nonce. Of other machines, and where there is no /proc, nothing is known. */
export function nonceLives(nonce: string): boolean {
  return processes().some((pid) => {
    const started = startTime(pid);
    return started !== undefined && nonce.startsWith(tagOf(`${machine()}-${hex(pid, 8)}-${started}`));
  });
}

function tagOf(writer: string): string {
  return createHash('sha256').update(writer).digest('hex').slice(0, 8);
}

function processes(): readonly number[] {
  try {
    return fs.readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    return [process.pid];
  }
}

let machineId: string | undefined;

function machine(): string {
  if (machineId === undefined) {
    const parts = [hostname(), readOr('/proc/sys/kernel/random/boot_id'), linkOr('/proc/self/ns/pid')];
    machineId = createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8);
  }
  return machineId;
}

/**
 * Start time of a live process in clock ticks since boot (proc(5), field 22 of stat), undefined for a dead one. A
 * zombie is dead: kill(pid, 0) would call it alive until its parent reaps it.
 */
function startTime(pid: number): string | undefined {
  const stat = readOr(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const ticks = fields[19];
  if (ticks !== undefined && state !== 'Z' && state !== 'X') return hex(Number(ticks), 12);
  if (stat !== '' || fs.existsSync('/proc/self/stat')) return undefined;
  return signalReaches(pid) ? hex(0, 12) : undefined;
}

function signalReaches(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function hex(value: number, width: number): string {
  return value.toString(16).padStart(width, '0').slice(-width);
}

function readOr(path: string): string {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function linkOr(path: string): string {
  try {
    return fs.readlinkSync(path);
  } catch {
    return '';
  }
}
