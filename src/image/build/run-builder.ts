import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { onAbort } from '../../abort.ts';
import { TransferError, toTransferError } from '../../errors.ts';
import type { CommandLine } from '../../job/container.ts';
import { complaint } from '../../job/containers/complaint.ts';
import { killAll, kinOf, tell } from '../../job/kin.ts';

/** Characters of what an engine said that are kept: its reasons come last. */
const KEPT = 64 * 1024;
/** Characters of one line; what is longer is several: a step may print without end. */
const MOST_LINE = 64 * 1024;
/** Milliseconds between two tries to end an engine. */
const AGAIN_MS = 1_000;
/** Milliseconds in which an engine may take away what it works in. */
const GRACE_MS = 10_000;

type Running = ChildProcessByStdio<null, Readable, Readable>;

export interface BuilderCall {
  /** Where it is started. */
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Ends it; without one it comes to its own end. */
  readonly signal?: AbortSignal;
  /** Told each line of what it says, without colours. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/**
 * Runs an engine's command line to its end; resolves with its standard output, or the end of it. Rejects with `canceled`,
 * with `unexpected` and the engine's own words when it fails, and with why it could not be started.
 */
export async function runBuilder([program, ...args]: CommandLine, call: BuilderCall): Promise<string> {
  const { directory, environment, signal, onLine } = call;
  const doing = `\`${program} ${args[0] ?? ''}\``;
  const canceled = () => new TransferError('canceled', `${doing}: canceled`);
  if (signal?.aborted) throw canceled();
  const child = spawn(program, args, { cwd: directory, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, said] = ['', ''];
  const listen = (stream: Readable, take: (line: string) => void) =>
    eachLine(stream, (text) => {
      const line = stripVTControlCharacters(text);
      take(line);
      said = `${said}${line}\n`.slice(-KEPT);
      onLine?.(line);
    });
  listen(child.stdout, (line) => {
    output = `${output}${line}\n`.slice(-KEPT);
  });
  listen(child.stderr, () => undefined);
  const stopped = signal && endWith(signal, child);
  try {
    const end = await endOf(child);
    if (signal?.aborted) throw canceled();
    if (end === undefined) return output;
    throw new TransferError(
      'unexpected',
      `${doing} ended with ${end}: ${complaint(said) || 'it said nothing'}`,
    );
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    stopped?.();
  }
}

/** Tells each line of a stream, without its end; one that is too long in pieces. */
function eachLine(stream: Readable, tell: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) tell(line);
    if (rest.length < MOST_LINE) return;
    tell(rest);
    rest = '';
  });
  stream.on('end', () => {
    if (rest !== '') tell(rest);
  });
}

/** How it failed; undefined when it did not. */
function endOf(child: Running): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, name) => resolve(status === 0 ? undefined : (name ?? `status ${status}`)));
  });
}

/**
 * Ends the engine when the signal aborts. What it runs is ended first, and it takes away its working container as after
 * a step that failed: podman 4.3 leaves both behind when it is ended itself.
 */
function endWith(signal: AbortSignal, child: Running): () => void {
  let timer: NodeJS.Timeout | undefined;
  const { pid } = child;
  const kin = () =>
    pid === undefined || child.exitCode !== null || child.signalCode !== null ? [] : kinOf([pid]);
  const end = (waited: number) => {
    if (waited >= GRACE_MS) return void killAll(kin);
    const inside = kin().filter((one) => one.pid !== pid && one.parent !== pid);
    if (inside.length === 0) child.kill('SIGTERM');
    tell(
      inside.map((one) => one.pid),
      'SIGKILL',
    );
    timer = setTimeout(() => end(waited + AGAIN_MS), AGAIN_MS);
  };
  const forget = onAbort(signal, () => {
    // Whatever it has left behind would keep these open.
    child.once('exit', () => {
      child.stdout.destroy();
      child.stderr.destroy();
    });
    end(0);
  });
  return () => {
    forget();
    clearTimeout(timer);
  };
}
