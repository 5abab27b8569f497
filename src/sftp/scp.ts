import { TransferError, toTransferError } from '../errors.ts';
import type { Bytes, Endpoint, Source, Staged, WriteCall } from '../protocol.ts';
import { shellWord } from '../shell-word.ts';
import type { Connector } from './connect.ts';
import { newPartialPath } from './partials.ts';
import { DIRECTORY, readHead, type ScpHead, type ScpTalk, scpError, talkScp } from './scp-wire.ts';

const MIB = 1024 * 1024;

/** What the old protocol can do: whole files and a few commands. No ranges, no listing, no resume. */
export type ScpEndpoint = Required<Pick<Endpoint, 'stat' | 'read' | 'write' | 'mkdir' | 'remove'>>;

/** Runs commands of the account's shell, each over a connection of its own. */
interface Shell {
  talk(command: string, doing: string, signal: AbortSignal): Promise<ScpTalk>;
  /** What a command prints; rejects by its words when it fails. */
  run(command: string, doing: string, signal: AbortSignal): Promise<string>;
}

/**
 * Files of a host that offers no SFTP, by the protocol of the old scp and the commands of a POSIX shell. Every name
 * stands in single quotes.
 */
export function openScp(connector: Connector): ScpEndpoint {
  const shell = createShell(connector);

  async function head(path: string, doing: string, signal: AbortSignal) {
    const word = shellWord(path);
    const command = `if test -d ${word}; then echo ${DIRECTORY}; else exec scp -f -p -- ${word}; fi`;
    const talking = await shell.talk(command, doing, signal);
    try {
      return { talking, found: await readHead(talking, doing) };
    } catch (error) {
      await talking.close();
      throw toTransferError(error, doing);
    }
  }

  return {
    async stat(path, { signal }) {
      const { talking, found } = await head(path, `stat \`${path}\``, signal);
      await talking.close();
      return found ? { type: 'file', ...factsOf(found) } : { type: 'directory' };
    },

    async read(path, call) {
      const doing = `read \`${path}\``;
      if ((call.range?.start ?? 0) > 0 || call.range?.end !== undefined) {
        throw new TransferError('range-ignored', `${doing}: the old scp protocol knows no ranges`);
      }
      const { talking, found } = await head(path, doing, call.signal);
      const facts = found && factsOf(found);
      if (facts && (call.version === undefined || call.version === facts.version)) {
        return sourceOf(talking, facts, doing);
      }
      await talking.close();
      if (facts)
        throw new TransferError('changed', `${doing}: it is no longer the version that was asked for`);
      throw new TransferError('invalid-request', `${doing}: expected a regular file, got a directory`);
    },

    write: (path, bytes, call) => writeStaged(shell, path, bytes, call),

    async mkdir(path, { signal }) {
      const doing = `make directory \`${path}\``;
      const word = shellWord(path);
      const isOther = `test -e ${word} && ! test -d ${word}`;
      const said = await shell.run(
        `if ${isOther}; then echo file; else mkdir -p -- ${word}; fi`,
        doing,
        signal,
      );
      if (said === 'file') throw new TransferError('already-exists', `${doing}: \`${path}\` is a file`);
    },

    async remove(path, { signal, recursive }) {
      const word = shellWord(path);
      const one = `if test -d ${word} && ! test -L ${word}; then rmdir -- ${word}; else rm -f -- ${word}; fi`;
      await shell.run(recursive ? `rm -rf -- ${word}` : one, `remove \`${path}\``, signal);
    },
  };
}

function createShell(connector: Connector): Shell {
  const talk: Shell['talk'] = async (command, doing, signal) =>
    talkScp(await connector.run(command), { doing, stallSeconds: connector.stallSeconds, signal });
  return {
    talk,
    async run(command, doing, signal) {
      // Its last line tells how it ended: a status alone could be that of an ssh that failed.
      const talking = await talk(`{ ${command}; } 2>&1; echo "ended $?"`, doing, signal);
      try {
        const lines: string[] = [];
        for (;;) {
          const line = await talking.line();
          const end = /^ended (\d+)$/.exec(line);
          if (!end) lines.push(line);
          else if (end[1] === '0') return lines.join('\n');
          else throw scpError(lines.join(' '), doing);
        }
      } finally {
        await talking.close();
      }
    },
  };
}

function factsOf({ size, mode, modified }: ScpHead) {
  return {
    size,
    mode,
    modified: modified === undefined ? undefined : new Date(modified * 1000),
    version: modified === undefined ? undefined : `${modified}-${size}`,
  };
}

function sourceOf(talking: ScpTalk, facts: ReturnType<typeof factsOf>, doing: string): Source {
  let isWhole = false;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    try {
      await talking.send('\0');
      for (let left = facts.size; left > 0; ) {
        const piece = await talking.data(Math.min(left, MIB));
        left -= piece.length;
        yield piece;
      }
      // The other side tells here that the file became shorter: it has filled up with zeros (scp.c, source()).
      await talking.acknowledged();
      isWhole = true;
    } finally {
      await talking.close();
    }
  }
  return {
    type: 'file',
    ...facts,
    bytes: bytes(),
    async confirm() {
      if (!isWhole) throw new TransferError('unexpected', `${doing}: not read to its end`);
    },
    discard: () => talking.close(),
  };
}

async function writeStaged(shell: Shell, path: string, bytes: Bytes, call: WriteCall): Promise<Staged> {
  const doing = `write \`${path}\``;
  const { size, signal } = call;
  if (size === undefined) {
    throw new TransferError('unsupported', `${doing}: the old scp protocol must know the size beforehand`);
  }
  const partial = newPartialPath(path, call.key);
  const [word, name] = [shellWord(partial), shellWord(path)];
  const above = shellWord(path.slice(0, path.lastIndexOf('/')) || '/');
  const clear = () =>
    shell.run(`rm -f -- ${word}`, doing, new AbortController().signal).catch(() => undefined);
  // In the protocol's own form: a byte 1, then words.
  const occupied = "printf '\\001Is a directory\\n'";
  const command = `if test -d ${name}; then ${occupied}; else mkdir -p -- ${above} && exec scp -t -- ${word}; fi`;
  try {
    const talking = await shell.talk(command, doing, signal);
    try {
      await send(talking, bytes, { size, mode: call.exactMode ?? call.mode ?? 0o666, doing });
    } finally {
      await talking.close();
    }
  } catch (error) {
    await clear();
    throw toTransferError(error, doing);
  }
  return {
    async commit(committing) {
      try {
        const said = await shell.run(commitCommand(word, name, size, call), doing, committing);
        if (said === '') return { size, digests: [] };
        throw new TransferError(
          'size-mismatch',
          `${doing}: sent ${size} bytes, the server has ${said.trim()}`,
        );
      } catch (error) {
        await clear();
        throw toTransferError(error, doing);
      }
    },
    async abort() {
      await clear();
    },
  };
}

/** Counts, sets, flushes and renames; prints the count when that is not right. */
function commitCommand(word: string, name: string, size: number, call: WriteCall): string {
  const time = call.modified && Math.floor(call.modified.getTime() / 1000);
  const mode =
    call.exactMode === undefined ? '' : `chmod ${(call.exactMode & 0o777).toString(8)} -- ${word} && `;
  const touch = time === undefined ? '' : `touch -d @${time} -- ${word} && `;
  // GNU sync flushes one file; others flush all.
  const move = `${mode}${touch}{ sync -- ${word} || sync; } && mv -f -- ${word} ${name}`;
  return `n=$(wc -c < ${word}) && if test "$n" -eq ${size}; then ${move}; else echo "$n"; fi`;
}

async function send(
  talking: ScpTalk,
  bytes: Bytes,
  { size, mode, doing }: { readonly size: number; readonly mode: number; readonly doing: string },
): Promise<void> {
  await talking.acknowledged();
  await talking.send(`C${(mode & 0o777).toString(8).padStart(4, '0')} ${size} file\n`);
  await talking.acknowledged();
  let sent = 0;
  for await (const chunk of bytes) {
    sent += chunk.length;
    if (sent > size) throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got more`);
    await talking.send(chunk);
  }
  if (sent !== size)
    throw new TransferError('size-mismatch', `${doing}: expected ${size} bytes, got ${sent}`);
  await talking.send('\0');
  await talking.acknowledged();
}

/** True for the error of a host that lets us in and has no sftp subsystem. */
export function isWithoutSftp(error: unknown): boolean {
  return (
    error instanceof TransferError &&
    error.code === 'unsupported' &&
    error.message.includes('no sftp subsystem')
  );
}
