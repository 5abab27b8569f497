import type { Invocation } from './invocation.ts';
import { errorFor } from './unreadable.ts';
import { readYamlInvocation } from './yaml-record.ts';

/** What stands in the standard output of a job, apart from the job's own words. */
export interface JobOutput {
  readonly invocations: readonly Invocation[];
  /** The last `[cluster-summary …]` line, whole. */
  readonly summary: string | undefined;
  /** A `[cluster-task …]` line is there: a summary should be, too. */
  readonly hasTasks: boolean;
}

const YAML_START = '- invocation:';
const XML_START = /^(?:<\?xml|<invocation)[ >]/;
const XML_END = '</invocation>';
const SUMMARY = /^\[(?:cluster|seqexec)-summary(?![\w-])/;
const TASK = /^\[cluster-task(?![\w-])/;

/**
 * Finds the records in `text` by where they stand: a record in YAML is a line that begins it and the indented and empty
 * lines behind that, so nothing in it (the output of a job, say) is taken for a record of its own. Rejects with
 * `invalid-request` for a record that does not parse.
 */
export async function readJobOutput(text: string): Promise<JobOutput> {
  const invocations: Invocation[] = [];
  let summary: string | undefined;
  let hasTasks = false;
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] as string;
    if (line.startsWith(YAML_START)) {
      const end = endOfYaml(lines, at);
      invocations.push(readYamlInvocation(lines.slice(at, end), at + 1));
      at = end - 1;
    } else if (XML_START.test(line)) {
      const end = endOfXml(lines, at);
      const { readXmlInvocation } = await import('./xml-record.ts');
      invocations.push(readXmlInvocation(lines.slice(at, end).join('\n'), at + 1));
      at = end - 1;
    } else if (SUMMARY.test(line)) summary = line;
    else if (TASK.test(line)) hasTasks = true;
  }
  return { invocations, summary, hasTasks };
}

function endOfYaml(lines: readonly string[], start: number): number {
  let end = start + 1;
  while (end < lines.length && isInside(lines[end] as string)) end += 1;
  return end;
}

function isInside(line: string): boolean {
  return line === '' || line === '\r' || line.startsWith(' ');
}

function endOfXml(lines: readonly string[], start: number): number {
  const end = lines.findIndex((line, at) => at >= start && line.includes(XML_END));
  if (end < 0) throw errorFor(start + 1, `no \`${XML_END}\``);
  return end + 1;
}
