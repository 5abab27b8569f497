import { TransferError } from '../src/errors.ts';
import { movePath } from '../src/ftp/commit.ts';
import { describeSession } from '../src/ftp/describe.ts';
import type { Work } from '../src/ftp/dial.ts';
import { digestsOf } from '../src/ftp/hash.ts';
import { statPath } from '../src/ftp/inquire.ts';
import { findLeftovers } from '../src/ftp/leftovers.ts';
import { createPartials } from '../src/ftp/partials.ts';
import { commandPath, decodePath } from '../src/ftp/paths.ts';
import { readPath } from '../src/ftp/read.ts';
import { openServer } from '../src/ftp/server.ts';
import type { Session } from '../src/ftp/session.ts';
import { listTree, makeDirectory, removePath } from '../src/ftp/tree.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/** Endpoints opened so far: each has a login of its own, so that none may move files of another. */
let opened = 0;

/**
 * Files of an FTP server (RFC 959, RFC 3659): RETR and STOR over passive data connections, with REST; uploads under a
 * hidden name, renamed when they are whole. `ftps` is TLS from the first byte, on port 21 by AUTH TLS (RFC 4217).
 */
export function open(location: Location, context: Context): Endpoint {
  const origin = `${location.scheme}://${location.authority}`;
  const server = openServer(location, context);
  const { dialer, others } = server;
  opened += 1;

  const work = (verb: string, path: string, signal: AbortSignal): Work => ({
    doing: `${verb} \`${origin}${path}\``,
    signal,
  });
  const resolve = (session: Session, path: string, doing: string) =>
    commandPath(session, decodePath(path, doing));
  const partials = createPartials({
    pool: others,
    dialer,
    resolve,
    show: (path) => origin + path,
    read: (path, doing, call) => readPath({ server, path: () => path, doing, call }),
  });

  return {
    service: `${origin} ${opened}`,
    account: `${origin} ${location.site} ${context.username ?? ''}`,

    async stat(path, { signal }) {
      const now = work('stat', path, signal);
      const decoded = decodePath(path, now.doing);
      return others.use(now, (session) => statPath(session, commandPath(session, decoded), now));
    },

    async read(path, call) {
      const { doing } = work('read', path, call.signal);
      const decoded = decodePath(path, doing);
      return readPath({ server, path: (session) => commandPath(session, decoded), doing, call });
    },

    async write(path, bytes, call) {
      decodePath(path, `write \`${origin}${path}\``);
      return partials.write(path, bytes, call);
    },

    partial: partials.partial,

    async *list(path, { signal, recursive = false }) {
      const now = work('list', path, signal);
      const decoded = decodePath(path, now.doing);
      yield* listTree({ pool: others, dialer }, (session) => commandPath(session, decoded), {
        ...now,
        recursive,
      });
    },

    leftovers: (path, call) => findLeftovers({ pool: others, dialer }, path, { ...call, origin }),

    async mkdir(path, { signal }) {
      const now = work('make directory', path, signal);
      const decoded = decodePath(path, now.doing);
      await others.use(now, (session) => makeDirectory(session, commandPath(session, decoded), now));
    },

    async remove(path, { signal, recursive = false }) {
      const now = work('remove', path, signal);
      const decoded = decodePath(path, now.doing);
      await others.use(now, (session) =>
        removePath(session, commandPath(session, decoded), { ...now, recursive, dialer }),
      );
    },

    async move(from, to, { signal }) {
      const now = work('move', from, signal);
      const [source, target] = [decodePath(from, now.doing), decodePath(to, now.doing)];
      await others.use(now, (session) =>
        movePath(session, commandPath(session, source), commandPath(session, target), now),
      );
    },

    async digest(path, algorithms, { signal }) {
      const now = work('ask for the digest of', path, signal);
      const decoded = decodePath(path, now.doing);
      return others.use(now, async (session) => {
        const wire = commandPath(session, decoded);
        const stat = await statPath(session, wire, now);
        if (stat.type !== 'file') throw new TransferError('invalid-request', `${now.doing}: is no file`);
        return digestsOf(session, wire, algorithms, now);
      });
    },

    describe: (path, { signal }) =>
      others.use(work('look at the server of', path, signal), async (session) => describeSession(session)),

    close: server.close,
  };
}
