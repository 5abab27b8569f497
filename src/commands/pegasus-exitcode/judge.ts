import { readFile, stat } from 'node:fs/promises';
import { errnoOf, TransferError, toTransferError } from '../../errors.ts';
import { problemOfSummary } from '../../job/reading/cluster-summary.ts';
import type { Invocation, OutputFile } from '../../job/reading/invocation.ts';
import { readJobOutput } from '../../job/reading/output.ts';
import type { ExitcodeOrder } from './order.ts';
import { type OutputFiles, outputFiles, rotate } from './rotate.ts';

/** What was found out about a job. */
export interface Verdict {
  /** Why the job failed; undefined when it did not. */
  readonly problem?: string;
  readonly files: OutputFiles;
  /** The last status that was looked at, as DAGMan or wait(2) gave it. */
  readonly status?: number;
  readonly outputs: readonly OutputFile[];
}

/** Setup and cleanup jobs that could not be started do not count: the original looks for `raw:` with digits alone. */
const MAY_BE_ABSENT = new Set(['setup', 'cleanup']);

/**
 * Whether the job failed, by the first of these: its output file, DAGMan's exit code, messages in what it said, the
 * summary of its cluster, its invocation records.
 */
export async function judge(order: ExitcodeOrder): Promise<Verdict> {
  const given = outputFiles(order.outFile);
  const isThere = await isFile(order.outFile);
  const refusal = !isThere
    ? `${order.outFile} does not exist`
    : order.outFile.endsWith('.out')
      ? undefined
      : `${order.outFile} does not look like a kickstart .out file`;
  if (refusal !== undefined) return { problem: refusal, files: given, outputs: [] };
  const files = order.rename ? rotate(given) : given;
  const { dagmanStatus: status } = order;
  if (status !== undefined && status !== 0) {
    const problem = `dagman reported non-zero exitcode: ${status}`;
    return { problem, files, status, outputs: [] };
  }
  const known = { files, ...(status === undefined ? {} : { status }) };
  return { ...known, ...(await judgeOutput(order, files)) };
}

async function judgeOutput(
  { invocations, failureMessages, successMessages }: ExitcodeOrder,
  files: OutputFiles,
): Promise<Omit<Verdict, 'files'>> {
  const failed = (problem: string) => ({ problem, outputs: [] });
  const said = [await read(files.out), (await isFile(files.err)) ? await read(files.err) : Buffer.alloc(0)];
  const [out] = said as [Buffer];
  const isSaid = (message: string) => said.some((text) => text.includes(message));
  if (invocations && out.length === 0) return failed('Empty stdout');
  if (failureMessages.some(isSaid)) return failed('Failure message found in output');
  if (!successMessages.every(isSaid)) return failed('Success message missing from output');
  try {
    return await judgeRecords(out, invocations);
  } catch (error) {
    return failed(toTransferError(error, 'read the records').message);
  }
}

async function judgeRecords(out: Buffer, mustBeThere: boolean): Promise<Omit<Verdict, 'files'>> {
  const { invocations, summary, hasTasks } = await readJobOutput(out.toString());
  const outputs = invocations.flatMap((invocation) => invocation.outputs);
  if (summary === undefined && hasTasks) return { problem: 'cluster-summary is missing', outputs };
  if (summary !== undefined) {
    const problem = problemOfSummary(summary);
    return { ...(problem === undefined ? {} : { problem }), outputs };
  }
  return mustBeThere ? { ...judgeInvocations(invocations), outputs } : { outputs };
}

function judgeInvocations(invocations: readonly Invocation[]): Pick<Verdict, 'problem' | 'status'> {
  if (invocations.some(({ isMissingDigest }) => isMissingDigest)) {
    return { problem: 'detected integrity creation errors in the job' };
  }
  let status: number | undefined;
  for (const { job, raw } of invocations.flatMap(({ statuses }) => statuses)) {
    if (raw < 0 && MAY_BE_ABSENT.has(job)) continue;
    status = raw;
    if (raw !== 0) return { problem: `task exited with raw status ${raw} (${job})`, status };
  }
  if (status === undefined) return { problem: 'No successful kickstart records' };
  const isCut = invocations.some(({ statuses }) => statuses.length === 0);
  return isCut ? { problem: 'a kickstart record tells of no job', status } : { status };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw toTransferError(error, `look at \`${path}\``);
  }
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_FS_FILE_TOO_LARGE') {
      throw new TransferError('unsupported', `read \`${path}\`: more than 2 GiB`);
    }
    throw toTransferError(error, `read \`${path}\``);
  }
}
