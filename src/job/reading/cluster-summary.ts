import { TransferError } from '../../errors.ts';

const FIELD = /([\w-]+)=(?:"([^"]*)"|([^\s,"\]]*))/g;
const COUNT = /^\d{1,9}$/;

/**
 * Why the jobs of a cluster failed, by its `[cluster-summary stat="ok", tasks=3, succeeded=3, failed=0, …]` line;
 * undefined when they did not. A cluster without tasks did not. Throws `invalid-request` for a line that is cut off, or
 * has no number where one belongs.
 */
export function problemOfSummary(line: string): string | undefined {
  if (!line.includes(']')) throw new TransferError('invalid-request', 'invalid cluster-summary record');
  const fields = new Map(
    [...line.slice(0, line.indexOf(']')).matchAll(FIELD)].map(([, name = '', quoted, plain]) => [
      name,
      quoted ?? plain ?? '',
    ]),
  );
  const stat = fields.get('stat');
  if (stat !== undefined && stat !== 'ok') return `cluster-summary stat=${stat}`;
  const failed = count(fields, 'failed');
  if (failed !== undefined && failed > 0) return `cluster-summary failed=${failed}`;
  if (count(fields, 'submitted') === 0 || count(fields, 'tasks') === 0) return undefined;
  return count(fields, 'succeeded') === 0 ? 'cluster-summary succeeded=0' : undefined;
}

function count(fields: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = fields.get(name);
  if (text === undefined) return undefined;
  if (!COUNT.test(text)) {
    throw new TransferError('invalid-request', `cluster-summary ${name}: expected a number, got \`${text}\``);
  }
  return Number(text);
}
