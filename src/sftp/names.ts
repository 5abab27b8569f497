import { TransferError } from '../errors.ts';
import type { CopyCall, LinkCall } from '../protocol.ts';
import { encodeAttributes, statOf } from './attributes.ts';
import { isNotFound, lookAt, makeLink, removeFile, replaceFile } from './files.ts';
import { newAsidePath, newPartialPath } from './partials.ts';
import type { Session } from './session.ts';
import { makeParents } from './tree.ts';
import { MESSAGE } from './wire.ts';

/** Gives the file the name `to`, over a file that has it; parents are made. Nothing changes when `from` is absent. */
export async function moveFile(session: Session, from: string, to: string, call: CopyCall): Promise<void> {
  const doing = `move \`${from}\` to \`${to}\``;
  const there = await lookAt(session, from, doing);
  if (!there) throw new TransferError('not-found', `${doing}: no such file or directory`);
  const names = { from, to, aside: newAsidePath(to, call.key) };
  try {
    await replaceFile(session, names, doing);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await makeParents(session, to, doing);
    await replaceFile(session, names, doing);
  }
  const modified = call.modified && Math.floor(call.modified.getTime() / 1000);
  if (modified === undefined && call.exactMode === undefined) return;
  if (statOf(there).type === 'symlink') return;
  const attributes = encodeAttributes({
    ...(modified === undefined ? {} : { modified }),
    ...(call.exactMode === undefined ? {} : { permissions: call.exactMode }),
  });
  await session.request(MESSAGE.setstat, [to, attributes], doing);
}

/** Makes a link at `path` in the place of what was there: under another name first, then renamed. */
export async function linkAtomically(
  session: Session,
  target: string,
  path: string,
  call: LinkCall,
): Promise<void> {
  const doing = `link \`${path}\``;
  const temporary = newPartialPath(path, call.key);
  const link = { kind: call.kind, target, path: temporary };
  try {
    await makeLink(session, link, doing);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await makeParents(session, path, doing);
    await makeLink(session, link, doing);
  }
  try {
    await replaceFile(session, { from: temporary, to: path, aside: newAsidePath(path, call.key) }, doing);
  } finally {
    // rename(2) does nothing when both names are links to one file.
    await removeFile(session, temporary, doing).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}
