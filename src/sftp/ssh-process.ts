import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import { type SocketPair, socketPair } from './socket-pair.ts';
import { type SshRun, sshArguments } from './ssh-arguments.ts';
import { newlyKnown, sshError } from './ssh-errors.ts';
import type { Transport, TransportListener } from './transport.ts';

/** What is kept of what ssh prints: its reasons come last, banners of hosts before. */
const KEPT = 16 * 1024;
/** Milliseconds in which an ssh whose input ended must be gone; then it is told, and then made to. */
const GRACE = 2000;
/** Milliseconds to wait for its last words once it ended: a helper of it may hold them open for ever. */
const LAST_WORDS = 200;

export interface SshProcess extends SshRun {
  readonly program: string;
  /** `user@host:port`, for messages. */
  readonly name: string;
  /** Called with each host whose new key was taken down. */
  readonly onNewHost: (host: string) => void;
}

/** An ssh that runs, with its streams. */
export interface SshStreams {
  readonly input: Writable;
  readonly output: Readable;
  /** Resolves when it is gone and its streams are closed: with its exit status (null by a signal) and why it ended. */
  readonly ended: Promise<SshOutcome>;
  kill(): void;
  /** Ends its input, and it if that is not enough. */
  close(): Promise<void>;
}

export interface SshOutcome {
  readonly status: number | null;
  readonly why: TransferError;
  /** What it printed, the end of it. */
  readonly stderr: string;
}

/**
 * Runs ssh. It ends when its input does, so it never outlives this process, however that ends; in a session of its own,
 * so that a Ctrl-C at the terminal is for us to act on. Its standard streams are one end of `pair`, where there is one.
 */
export function runSsh(run: SshProcess, pair?: SocketPair): SshStreams {
  const end = pair?.theirs ?? 'pipe';
  const child = spawn(run.program, sshArguments(run), {
    stdio: [end, end, 'pipe'],
    detached: true,
    env: run.ssh.environment as NodeJS.ProcessEnv,
  });
  // It has its own by now; ours would keep the connection open when it ends.
  pair?.theirs.destroy();
  const stdin = pair?.ours ?? (child.stdin as Writable);
  const stdout = pair?.ours ?? (child.stdout as Readable);
  const stderr = child.stderr as Readable;
  let said = '';
  const told = new Set<string>();
  stderr.setEncoding('latin1');
  stderr.on('data', (text: string) => {
    said = (said + text).slice(-KEPT);
    // Looked for in all of it: one line may come in two pieces.
    for (const host of newlyKnown(said)) {
      if (told.has(host)) continue;
      told.add(host);
      run.onNewHost(host);
    }
  });
  // An ssh that is gone is told by `exit`, with its reason.
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined);
  const ended = new Promise<SshOutcome>((resolve) => {
    let isSettled = false;
    const settle = (why: TransferError) => {
      if (isSettled) return;
      isSettled = true;
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
      resolve({ status: child.exitCode, why, stderr: said });
    };
    const tell = () => settle(sshError({ name: run.name, stderr: said, status: child.exitCode }));
    child.once('error', (error) => settle(startError(error, run)));
    child.once('close', () => {
      // What it wrote last may still be on its way.
      if (!pair || pair.ours.closed || pair.ours.readableEnded) tell();
      else pair.ours.once('close', tell);
    });
    child.once('exit', () => setTimeout(tell, LAST_WORDS));
  });
  const kill = (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  };
  return {
    input: stdin,
    output: stdout,
    ended,
    kill: () => kill('SIGTERM'),
    async close() {
      stdin.end();
      const soon = setTimeout(() => kill('SIGTERM'), GRACE);
      const late = setTimeout(() => kill('SIGKILL'), 2 * GRACE);
      await ended;
      clearTimeout(soon);
      clearTimeout(late);
    },
  };
}

function startError(error: Error, run: SshProcess): TransferError {
  if (errnoOf(error) !== 'ENOENT') return toTransferError(error, `ssh to \`${run.name}\``);
  return new TransferError('unsupported', `ssh to \`${run.name}\`: there is no program \`${run.program}\``);
}

/** The subsystem of a host by ssh. */
export async function startSsh(run: SshProcess): Promise<Transport> {
  let listener: TransportListener | undefined;
  const idle = Buffer.allocUnsafe(1024);
  let isIdle = true;
  const pair = await socketPair({
    memory() {
      // The first is asked for before anybody listens.
      isIdle = listener === undefined;
      return listener?.memory() ?? idle;
    },
    came(count) {
      if (isIdle) listener?.bytes(idle.subarray(0, count));
      else listener?.came(count);
    },
  });
  const { input, output, ended, kill, close } = runSsh(run, pair);
  if (!pair) output.on('data', (chunk: Buffer) => listener?.bytes(chunk));
  ended.then(({ why }) => listener?.ended(why));
  return {
    listen(given) {
      listener = given;
    },
    write(pieces, flushed) {
      if (!input.writable) return;
      if (input.writableCorked === 0) {
        input.cork();
        process.nextTick(() => input.uncork());
      }
      pieces.forEach((piece, index) => {
        if (index === pieces.length - 1 && flushed) input.write(piece, flushed);
        else input.write(piece);
      });
    },
    kill() {
      pair?.ours.destroy();
      kill();
    },
    close,
  };
}
