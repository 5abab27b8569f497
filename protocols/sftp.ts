import { toTransferError } from '../src/errors.ts';
import type { Location } from '../src/location.ts';
import type { Call, Context, CopyCall, Endpoint, Staged } from '../src/protocol.ts';
import { abortable, refuseAborted } from '../src/sftp/abortable.ts';
import { statOf } from '../src/sftp/attributes.ts';
import { claimPartial } from '../src/sftp/claim.ts';
import { createConnector } from '../src/sftp/connect.ts';
import { copyStaged } from '../src/sftp/copy.ts';
import { statFile } from '../src/sftp/files.ts';
import { findLeftovers } from '../src/sftp/leftovers.ts';
import { linkAtomically, moveFile } from '../src/sftp/names.ts';
import { createPartialBook } from '../src/sftp/partials.ts';
import { isWithoutSftp, openScp, type ScpEndpoint } from '../src/sftp/scp.ts';
import type { Session } from '../src/sftp/session.ts';
import { createSessions } from '../src/sftp/sessions.ts';
import { writeStaged } from '../src/sftp/sink.ts';
import { openSource } from '../src/sftp/source.ts';
import { listTree, makeDirectories, removeTree } from '../src/sftp/tree.ts';

/**
 * Files of an ssh host, by SFTP version 3 for `sftp` and `scp` URLs alike. Writes are staged beside the destination,
 * flushed, counted and renamed; paths are the server's, absolute and plain. An `scp` URL of a host that offers no SFTP
 * is served by the old scp protocol, with less: whole files only.
 */
export function open(location: Location, context: Context): Endpoint {
  const connector = createConnector(location.authority, context);
  const sessions = createSessions(connector.connect);
  const tools = { sessions, book: createPartialBook() };
  const user = context.username === undefined ? '' : `${context.username}@`;
  const oldScp = location.scheme === 'scp' ? openScp(connector) : undefined;
  let hasSftp: boolean | undefined;

  /** The old protocol where it is all there is; asked once. */
  async function without(doing: string, { signal }: Call): Promise<ScpEndpoint | undefined> {
    if (!oldScp || hasSftp) return undefined;
    if (hasSftp === false) return oldScp;
    try {
      (await sessions.acquire(signal, doing)).release();
      hasSftp = true;
      return undefined;
    } catch (error) {
      if (!isWithoutSftp(error)) throw error;
      hasSftp = false;
      const host = `\`${location.authority}\``;
      context.settings?.net?.warn(
        `no sftp ${host}`,
        `ssh to ${host}: no SFTP there; the old scp protocol cannot resume`,
      );
      return oldScp;
    }
  }

  async function inSession<T>(
    doing: string,
    { signal }: Call,
    work: (session: Session, doing: string) => Promise<T>,
  ): Promise<T> {
    refuseAborted(signal, doing);
    const lease = await sessions.acquire(signal, doing);
    try {
      return await abortable(work(lease.session, doing), signal, doing);
    } catch (error) {
      throw toTransferError(error, doing);
    } finally {
      lease.release();
    }
  }

  return {
    // One site's key need not open what another's does.
    service: `ssh://${user}${location.authority} ${location.site}`,
    async stat(path, call) {
      const doing = `stat \`${path}\``;
      const old = await without(doing, call);
      if (old) return old.stat(path, call);
      return inSession(doing, call, async (session) => statOf(await statFile(session, path, doing)));
    },
    async read(path, call) {
      const old = await without(`read \`${path}\``, call);
      return old ? old.read(path, call) : openSource(sessions, path, call);
    },
    async write(path, bytes, call) {
      const old = await without(`write \`${path}\``, call);
      return old ? old.write(path, bytes, call) : writeStaged(tools, path, bytes, call);
    },
    partial: (path, call) => claimPartial(tools, path, call),
    list: (path, call) => listTree(sessions, path, call),
    leftovers: (path, call) => findLeftovers(sessions, path, call),
    async mkdir(path, call) {
      const doing = `make directory \`${path}\``;
      const old = await without(doing, call);
      if (old) return old.mkdir(path, call);
      return inSession(doing, call, (session) => makeDirectories(session, path, doing));
    },
    async remove(path, call) {
      const doing = `remove \`${path}\``;
      const old = await without(doing, call);
      if (old) return old.remove(path, call);
      return inSession(doing, call, (session) => removeTree(session, path, call));
    },
    move: (from, to, call) =>
      inSession(`move \`${from}\``, call, (session) => moveFile(session, from, to, call)),
    async copy(from, to, call) {
      const old = await without(`copy \`${from}\` to \`${to}\``, call);
      return old ? copyThrough(old, from, to, call) : copyStaged(tools, from, to, call);
    },
    link: (target, path, call) =>
      inSession(`link \`${path}\``, call, (session) => linkAtomically(session, target, path, call)),
    async close() {
      await sessions.close();
      await connector.close();
    },
  };
}

async function copyThrough(old: ScpEndpoint, from: string, to: string, call: CopyCall): Promise<Staged> {
  const source = await old.read(from, call);
  const { size, mode, bytes } = source;
  try {
    return await old.write(to, bytes, { size, mode, ...call, retry: (unit) => unit(call.signal) });
  } finally {
    await source.discard?.();
  }
}
