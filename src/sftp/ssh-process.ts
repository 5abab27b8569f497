import { spawn } from 'node:child_process';
import { TransferError, toTransferError } from '../errors.ts';
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

/**
 * Runs ssh with our end of its standard streams as the transport. It ends when its input does, so it never outlives
 * this process, however that ends; in a session of its own, so that a Ctrl-C at the terminal is for us to act on.
 */
export function startSsh(run: SshProcess): Transport {
  const child = spawn(run.program, sshArguments(run), {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: run.ssh.environment as NodeJS.ProcessEnv,
  });
  const { stdin, stdout, stderr } = child;
  let listener: TransportListener | undefined;
  let said = '';
  const told = new Set<string>();
  let hasEnded = false;
  let tell: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    tell = resolve;
  });

  function end(why: TransferError): void {
    if (hasEnded) return;
    hasEnded = true;
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
    tell();
    listener?.ended(why);
  }

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
  stdout.on('data', (chunk: Buffer) => listener?.bytes(chunk));
  // An ssh that is gone is told by `exit`, with its reason.
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined);
  child.once('error', (error) => {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    end(
      missing
        ? new TransferError('unsupported', `ssh to \`${run.name}\`: there is no program \`${run.program}\``)
        : toTransferError(error, `ssh to \`${run.name}\``),
    );
  });
  const reason = () => sshError({ name: run.name, stderr: said, status: child.exitCode });
  child.once('close', () => end(reason()));
  child.once('exit', () => setTimeout(() => end(reason()), LAST_WORDS));

  const kill = (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  };
  return {
    listen(given) {
      listener = given;
    },
    write(pieces, flushed) {
      if (hasEnded || !stdin.writable) return;
      stdin.cork();
      pieces.forEach((piece, index) => {
        if (index === pieces.length - 1 && flushed) stdin.write(piece, flushed);
        else stdin.write(piece);
      });
      stdin.uncork();
    },
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
