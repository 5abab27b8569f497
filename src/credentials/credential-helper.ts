import { spawn } from 'node:child_process';
import { errnoOf, TransferError } from '../errors.ts';
import type { Secrets } from '../protocol.ts';
import { checkLogin } from './basic.ts';

/** Milliseconds that a helper may take: some ask a service, some a person. */
const PATIENCE_MS = 60_000;
/** An answer is a line. */
const MOST_OUTPUT = 64 * 1024;
/** What stands for an identity token where the name should be (docker-credential-helpers). */
const TOKEN_NAME = '<token>';

/**
 * The login that `docker-credential-NAME get` has for `server`: undefined when it has none. The program is run by its
 * name alone, never by a shell; what it says is not shown. Rejects with `invalid-request` for one that is not there, or
 * that fails.
 */
export async function askHelper(
  name: string,
  server: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Secrets | undefined> {
  const program = `docker-credential-${name}`;
  const doing = `ask \`${program.slice(0, 60)}\` for the login of \`${server}\``;
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$/.test(name)) {
    throw new TransferError('invalid-request', `${doing}: expected the name of a credential helper`);
  }
  const { status, output } = await run(program, server, env, doing);
  if (status !== 0) {
    if (/credentials not found/i.test(output)) return undefined;
    throw new TransferError('invalid-request', `${doing}: it ended with ${status ?? 'a signal'}`);
  }
  return parseAnswer(output, doing);
}

function parseAnswer(output: string, doing: string): Secrets | undefined {
  let json: unknown;
  try {
    json = JSON.parse(output);
  } catch {
    throw new TransferError('invalid-request', `${doing}: expected JSON, got something else`);
  }
  const { Username: username, Secret: secret } = (json ?? {}) as { Username?: unknown; Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw new TransferError('invalid-request', `${doing}: expected \`Username\` and \`Secret\``);
  }
  if (username === '' && secret === '') return undefined;
  if (username === TOKEN_NAME) return { registry: { identityToken: secret } };
  return checkLogin({ username, password: secret }, doing);
}

function run(
  program: string,
  server: string,
  env: Readonly<Record<string, string | undefined>>,
  doing: string,
): Promise<{ readonly status: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], {
      env: { ...env },
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: PATIENCE_MS,
    });
    const pieces: Buffer[] = [];
    let length = 0;
    child.stdout.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length > MOST_OUTPUT) child.kill();
      else pieces.push(piece);
    });
    child.on('error', (cause) => {
      const text = errnoOf(cause) === 'ENOENT' ? 'there is no such program in PATH' : 'it cannot be run';
      reject(new TransferError('invalid-request', `${doing}: ${text}`, { cause }));
    });
    child.on('close', (status) => resolve({ status, output: Buffer.concat(pieces).toString('utf8') }));
    // One that ends without reading is told by its status.
    child.stdin.on('error', () => undefined);
    child.stdin.end(server);
  });
}
