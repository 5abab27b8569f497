import fs from 'node:fs';

/** What a look at a file told of whether it can be started. */
export interface Inspection {
  /** True when the kernel will start it, but for want of memory or processes. */
  readonly runs: boolean;
  /** What is wrong with it, when that is seen. */
  readonly problem?: string;
}

const UNSURE: Inspection = { runs: false };
/** As much as the kernel reads for a `#!` line is 256; the program headers of an ELF file lie in the first page. */
const HEAD = 4096;
const LINE = 256;
/** Scripts that interpret scripts, as many as the kernel follows. */
const DEPTH = 4;
const INTERPRETER = 3;

/** Whether the kernel will start `file`, told from its mode and its first bytes; binfmt_misc(5) is not asked. */
export function inspect(file: Buffer, depth = 0): Inspection {
  try {
    const stat = fs.statSync(file);
    if (stat.isDirectory()) return { runs: false, problem: 'is a directory' };
    if (!stat.isFile()) return { runs: false, problem: 'is no regular file' };
    if (!isExecutable(file)) return { runs: false, problem: 'is not executable' };
    const head = headOf(file);
    if (head.subarray(0, 2).equals(Buffer.from('#!'))) return inspectScript(head, depth);
    if (!isElf(head)) return { runs: false, problem: 'no program: without a `#!` line, and no binary' };
    return inspectElf(head, depth);
  } catch {
    return UNSURE;
  }
}

function inspectScript(head: Buffer, depth: number): Inspection {
  const end = head.indexOf('\n');
  if (end < 0 || end > LINE || depth >= DEPTH) return UNSURE;
  const line = head.toString('latin1', 2, end).replace(/^[ \t]+/, '');
  const name = /^[^ \t\0]+/.exec(line)?.[0];
  return name === undefined
    ? { runs: false, problem: 'names no interpreter' }
    : inspectInterpreter(Buffer.from(name, 'latin1'), depth);
}

function inspectInterpreter(name: Buffer, depth: number): Inspection {
  if (!fs.existsSync(name)) return { runs: false, problem: `its interpreter \`${name}\` is not there` };
  const { runs, problem } = inspect(name, depth + 1);
  return problem === undefined ? { runs } : { runs, problem: `its interpreter \`${name}\`: ${problem}` };
}

function isElf(head: Buffer): boolean {
  return head.length >= 64 && head.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'));
}

/** Class, byte order and machine as this process has them; others may run as well, but that is the kernel's to say. */
function inspectElf(head: Buffer, depth: number): Inspection {
  const own = headOf(Buffer.from('/proc/self/exe'));
  const same = (from: number, to: number) => head.subarray(from, to).equals(own.subarray(from, to));
  if (!same(4, 6) || !same(18, 20)) return { runs: false, problem: 'a binary of another machine' };
  // Of 64 bits, little end first: others have no mode in which this is asked.
  const start = Number(head.readBigUInt64LE(32));
  const [size, count] = [head.readUInt16LE(54), head.readUInt16LE(56)];
  if (start + size * count > head.length) return UNSURE;
  for (let at = start; at < start + size * count; at += size) {
    if (head.readUInt32LE(at) !== INTERPRETER) continue;
    const [from, length] = [Number(head.readBigUInt64LE(at + 8)), Number(head.readBigUInt64LE(at + 32))];
    if (from + length > head.length) return UNSURE;
    return depth >= DEPTH ? UNSURE : inspectInterpreter(head.subarray(from, from + length - 1), depth);
  }
  return { runs: true };
}

function isExecutable(file: Buffer): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function headOf(file: Buffer): Buffer {
  const descriptor = fs.openSync(file, 'r');
  try {
    const head = Buffer.alloc(HEAD);
    return head.subarray(0, fs.readSync(descriptor, head, 0, HEAD, 0));
  } finally {
    fs.closeSync(descriptor);
  }
}
