import { toTransferError } from '../src/errors.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint, PartialWrite } from '../src/protocol.ts';
import { abortable, refuseAborted } from '../src/sftp/abortable.ts';
import { statOf } from '../src/sftp/attributes.ts';
import { claimPartial } from '../src/sftp/claim.ts';
import { createConnector } from '../src/sftp/connect.ts';
import { copyStaged } from '../src/sftp/copy.ts';
import { statFile } from '../src/sftp/files.ts';
import { linkAtomically, moveFile } from '../src/sftp/names.ts';
import { createPartialBook } from '../src/sftp/partials.ts';
import type { Session } from '../src/sftp/session.ts';
import { createSessions } from '../src/sftp/sessions.ts';
import { writeStaged } from '../src/sftp/sink.ts';
import { openSource } from '../src/sftp/source.ts';
import { listTree, makeDirectories, removeTree } from '../src/sftp/tree.ts';

/**
 * Files of an ssh host, by SFTP version 3 for `sftp` and `scp` URLs alike. Writes are staged beside the destination,
 * flushed, counted and renamed; paths are the server's, absolute and plain.
 */
export function open(location: Location, context: Context): Endpoint {
  const connector = createConnector(location.authority, context);
  const sessions = createSessions(connector.connect);
  const book = createPartialBook();
  const tools = { sessions, book };
  const user = context.username === undefined ? '' : `${context.username}@`;

  async function inSession<T>(
    doing: string,
    signal: AbortSignal,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    refuseAborted(signal, doing);
    const lease = await sessions.acquire(signal, doing);
    try {
      return await abortable(work(lease.session), signal, doing);
    } catch (error) {
      throw toTransferError(error, doing);
    } finally {
      lease.release();
    }
  }

  return {
    // One site's key need not open what another's does.
    service: `ssh://${user}${location.authority} ${location.site}`,
    stat: (path, { signal }) =>
      inSession(`stat \`${path}\``, signal, async (session) =>
        statOf(await statFile(session, path, `stat \`${path}\``)),
      ),
    read: (path, call) => openSource(sessions, path, call),
    write: (path, bytes, call) => writeStaged(tools, path, bytes, call),
    partial: (path, call): Promise<PartialWrite | undefined> => claimPartial(tools, path, call),
    list: (path, call) => listTree(sessions, path, call),
    mkdir: (path, { signal }) =>
      inSession(`make directory \`${path}\``, signal, (session) =>
        makeDirectories(session, path, `make directory \`${path}\``),
      ),
    remove: (path, call) =>
      inSession(`remove \`${path}\``, call.signal, (session) => removeTree(session, path, call)),
    move: (from, to, call) =>
      inSession(`move \`${from}\``, call.signal, (session) => moveFile(session, from, to, call)),
    copy: (from, to, call) => copyStaged(tools, from, to, call),
    link: (target, path, call) =>
      inSession(`link \`${path}\``, call.signal, (session) => linkAtomically(session, target, path, call)),
    async close() {
      await sessions.close();
      await connector.close();
    },
  };
}
