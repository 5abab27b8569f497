import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { type Invocation, JOBS, type JobStatus, type OutputFile } from './invocation.ts';
import { errorFor } from './unreadable.ts';

const STATUS = /^-?\d{1,10}$/;
/** Entries of `files` that are no files of the workflow, whatever their name is. */
const STREAMS = new Set(['stdin', 'stdout', 'stderr', 'metadata', 'kickstart', 'logfile']);

/**
 * Reads a record in YAML, a list with one map, that begins in line `first` of its file. Names may be there twice: the
 * original writes an output that was hashed on the way and again at the end under one name. Throws `invalid-request`.
 */
export function readYamlInvocation(lines: readonly string[], first: number): Invocation {
  const document = parseDocument(withoutTraces(lines).join('\n'), {
    // Every scalar stays as it is written: a digest may look like a number.
    schema: 'failsafe',
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [error] = document.errors;
  if (error) throw errorFor(first, error.message.split('\n', 1)[0] ?? 'not YAML');
  const record = (document.contents as { items?: unknown[] } | null)?.items?.[0];
  if (!isMap(record)) throw errorFor(first, 'expected a list with one map');
  const statuses = JOBS.flatMap((job) => statusOf(record, job, first));
  return { statuses, ...readFiles(record) };
}

/** With tracing on, what the original writes below `procs:` is not YAML. Captured output is indented further than that. */
function withoutTraces(lines: readonly string[]): readonly string[] {
  let isTrace = false;
  return lines.filter((line) => {
    if (line === '    procs:') isTrace = true;
    else if (isTrace && !line.startsWith('      ')) isTrace = false;
    else if (isTrace) return false;
    return true;
  });
}

function statusOf(record: YAMLMap, job: string, first: number): readonly JobStatus[] {
  const entry = record.get(job);
  if (entry === undefined || entry === null) return [];
  const status = isMap(entry) ? entry.get('status') : undefined;
  const raw = isMap(status) ? text(status.get('raw')) : undefined;
  if (raw === undefined) throw errorFor(first, `${job}: no status`);
  if (!STATUS.test(raw)) throw errorFor(first, `${job}.status.raw: expected a number, got \`${raw}\``);
  return [{ job, raw: Number(raw) }];
}

function readFiles(record: YAMLMap): Pick<Invocation, 'outputs' | 'isMissingDigest'> {
  const outputs = new Map<string, OutputFile>();
  let isMissingDigest = false;
  const files = record.get('files');
  if (!isMap(files)) return { outputs: [], isMissingDigest };
  for (const { key, value } of files.items as readonly Pair[]) {
    const name = text(key);
    if (name === undefined || !isMap(value)) continue;
    if (value.has('integrity_error')) isMissingDigest = true;
    if (text(value.get('output'))?.toLowerCase() !== 'true') continue;
    if (STREAMS.has(name) && !value.has('file_name')) continue;
    // The key of an output that is named like a stream is another than its name.
    const lfn = text(value.get('lfn')) ?? name;
    outputs.set(lfn, { lfn, attributes: attributesOf(value) });
  }
  return { outputs: [...outputs.values()], isMissingDigest };
}

function attributesOf(entry: YAMLMap): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const { key, value } of entry.items as readonly Pair[]) {
    const name = text(key);
    const known = text(value);
    if (name !== undefined && known !== undefined) attributes.set(name, known);
  }
  return attributes;
}

function text(node: unknown): string | undefined {
  const value = isScalar(node) ? node.value : node;
  return typeof value === 'string' ? value : undefined;
}
