import type { ByteText } from './byte-text.ts';
import { readable } from './byte-text.ts';
import { capturedData } from './captured.ts';
import type { ToolEntry } from './integrity-data.ts';
import type { Limits } from './limits.ts';
import { localMilliseconds } from './local-time.ts';
import type { Machine } from './machine.ts';
import { type FileEntry, fileLines, type Names, type Output } from './record-file.ts';
import { type JobReport, jobLines, usageLines } from './record-job.ts';
import { limitLines } from './record-limits.ts';
import { machineLines } from './record-machine.ts';
import type { Usage } from './usage.ts';
import { plain, quoted } from './yaml-scalar.ts';

/** What is said of a stream of the jobs; of one that was captured, its end as well. */
export interface StreamEntry {
  readonly entry: FileEntry;
  /** Characters of it that are shown at most; undefined for all. */
  readonly most: number | undefined;
  readonly isShown: boolean;
}

/** Everything that an invocation record tells. */
export interface Invocation {
  readonly started: Date;
  readonly seconds: number;
  /** `transformation`, `derivation`, `resource`, `wf-label`, `wf-stamp`, as far as given. */
  readonly labels: readonly (readonly [key: string, value: ByteText])[];
  readonly address?:
    | { readonly interface: string; readonly host: string; readonly name?: string | undefined }
    | undefined;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly jobs: readonly JobReport[];
  readonly jobIds: readonly (readonly [key: string, value: ByteText])[];
  readonly directory: ByteText;
  readonly usage: Usage;
  readonly machine?: Machine | undefined;
  readonly inputs: readonly FileEntry[];
  readonly outputs: readonly Output[];
  readonly tools: readonly ToolEntry[];
  readonly streams: Readonly<Record<'stdin' | 'stdout' | 'stderr' | 'metadata', StreamEntry>>;
  /** What is told of a run that failed, or when asked for. */
  readonly full?:
    | {
        readonly kickstart: FileEntry;
        readonly logfile: FileEntry;
        readonly environment: readonly ByteText[];
        readonly limits: Limits;
      }
    | undefined;
}

/** Of the schema that the original's readers know. */
const SCHEMA = '3.0';

/** The record in pieces, YAML 1.1 in UTF-8, each line of which begins with `- ` or a blank. May be made again. */
export function* invocationRecord(run: Invocation, names: Names): Generator<string> {
  yield head(run, names);
  for (const job of run.jobs) yield jobLines(job, names);
  yield `  jobids:\n${run.jobIds.map(([key, value]) => `    ${key}: ${bare(value)}\n`).join('')}`;
  yield `  cwd: ${run.directory === '' ? '' : plain(run.directory)}\n`;
  yield usageLines(run.usage, '  ');
  if (run.machine) yield machineLines(run.machine);
  yield '  files:\n';
  yield* namedFiles(run, names);
  for (const [key, stream] of Object.entries(run.streams)) yield* streamLines(key, stream, names);
  if (!run.full) return;
  const { kickstart, logfile, environment, limits } = run.full;
  yield `    kickstart:\n${fileLines(kickstart, '      ', names)}`;
  yield `    logfile:\n${fileLines(logfile, '      ', names)}`;
  yield `  environment:\n${environmentLines(environment)}`;
  yield limitLines(limits);
}

function head(run: Invocation, names: Names): string {
  const { address, uid, gid } = run;
  const user = names.user(BigInt(uid));
  const group = names.group(BigInt(gid));
  const lines = [
    `version: ${SCHEMA}`,
    `start: ${localMilliseconds(run.started)}`,
    `duration: ${run.seconds.toFixed(3)}`,
    ...run.labels.filter(([, value]) => value !== '').map(([key, value]) => `${key}: ${quoted(value)}`),
    ...(address ? [`interface: ${plain(address.interface)}`, `hostaddr: ${address.host}`] : []),
    ...(address?.name === undefined ? [] : [`hostname: ${plain(address.name)}`]),
    `pid: ${run.pid}`,
    `uid: ${uid}`,
    ...(user === undefined ? [] : [`user: ${plain(user)}`]),
    `gid: ${gid}`,
    ...(group === undefined ? [] : [`group: ${plain(group)}`]),
    `umask: 0o0${run.umask.toString(8).padStart(3, '0')}`,
  ];
  return `- invocation: True\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

/** Keys that the streams have. */
const TAKEN: ReadonlySet<string> = new Set(['stdin', 'stdout', 'stderr', 'metadata', 'kickstart', 'logfile']);

/**
 * A key for each name once, as mappings have it: of several entries under one name the last is told, which is what
 * readers of the original's records see. A name that a stream has gives its file's path for a key.
 */
function namedFiles(run: Invocation, names: Names): Iterable<string> {
  const found = new Map<string, string>();
  const put = (key: string, lines: string) => {
    // Where the last one stands.
    found.delete(key);
    found.set(key, lines);
  };
  for (const entry of run.inputs) put(keyOf(entry), fileLines(entry, '      ', names));
  for (const output of run.outputs) put(keyOf(output.entry), outputLines(output, names));
  for (const { key, lines } of run.tools) {
    put(free(key), lines.map((line) => `      ${readable(line)}\n`).join(''));
  }
  return [...found].map(([key, lines]) => `    ${plain(key)}:\n${lines}`);
}

function keyOf({ lfn, source }: FileEntry): string {
  const path = source.kind === 'descriptor' ? '' : source.path;
  return lfn === undefined ? free(path) : TAKEN.has(lfn) ? free(path) : lfn;
}

const free = (key: string): string => (TAKEN.has(key) ? `./${key}` : key);

function outputLines(output: Output, names: Names): string {
  const { entry, sha256, seconds = 0, method, isUnread = false } = output;
  const lines = [
    ...(entry.errno === undefined ? ['output: True'] : []),
    ...(sha256 === undefined ? [] : [`sha256: ${sha256}`, `checksum_timing: ${seconds.toFixed(2)}`]),
    ...(method === undefined || sha256 === undefined ? [] : [`checksum_method: ${method}`]),
    ...(isUnread ? ['integrity_error: failed creating a checksum'] : []),
  ];
  return fileLines(entry, '      ', names) + lines.map((line) => `      ${line}\n`).join('');
}

function* streamLines(key: string, { entry, most, isShown }: StreamEntry, names: Names): Generator<string> {
  yield `    ${key}:\n${fileLines(entry, '      ', names)}`;
  const { source, stat } = entry;
  if (!isShown || source.kind !== 'temporary' || !stat || stat.size === 0n) return;
  yield* capturedData({ fd: source.fd, size: Number(stat.size), most }, '      ');
}

/** Sorted as bytes; what is no `NAME=value` has no place in a mapping, and of a name that is there twice the first counts. */
function environmentLines(environment: readonly ByteText[]): string {
  const variables = new Map<ByteText, ByteText>();
  for (const entry of environment) {
    const at = entry.indexOf('=');
    if (at < 0 || variables.has(entry.slice(0, at))) continue;
    variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return [...variables]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `    ${quoted(name)}: ${quoted(value)}\n`)
    .join('');
}

/** As the original writes ids, unquoted, where that is one scalar of YAML, be it a number. */
const bare = (value: ByteText): string => (/^\w(?:[\w.@:/-]*\w)?$/.test(value) ? value : quoted(value));
