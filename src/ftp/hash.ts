import type { Algorithm, Digest } from '../protocol.ts';
import type { Work } from './dial.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';

/** Names in HASH (draft-bryan-ftpext-hash-02 §3.1), the commands of those who were there before, and hexadecimal digits. */
const HASHES: Readonly<
  Partial<
    Record<
      Algorithm,
      { readonly hash: string; readonly commands: readonly string[]; readonly digits: number }
    >
  >
> = {
  sha512: { hash: 'SHA-512', commands: ['XSHA512'], digits: 128 },
  sha256: { hash: 'SHA-256', commands: ['XSHA256'], digits: 64 },
  sha1: { hash: 'SHA-1', commands: ['XSHA1', 'XSHA'], digits: 40 },
  md5: { hash: 'MD5', commands: ['XMD5', 'MD5'], digits: 32 },
  crc32: { hash: 'CRC32', commands: ['XCRC'], digits: 8 },
};

/** The digests that the server computes of its file, those of the algorithms that it has. Its time is that of reading the file. */
export async function digestsOf(
  session: Session,
  path: string,
  algorithms: readonly Algorithm[],
  work: Work,
): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  for (const algorithm of algorithms) {
    const value = await digestOf(session, path, algorithm, work);
    if (value !== undefined) digests.push({ algorithm, value });
  }
  return digests;
}

async function digestOf(
  session: Session,
  path: string,
  algorithm: Algorithm,
  work: Work,
): Promise<string | undefined> {
  const known = HASHES[algorithm];
  if (!known) return undefined;
  const { control, features } = session;
  const offered = (features.get('HASH') ?? '').split(';').map((name) => name.trim().replace(/\*$/, ''));
  if (offered.includes(known.hash)) {
    if (session.hash !== known.hash) {
      const chosen = await control.ask(`OPTS HASH ${known.hash}`, work);
      if (chosen.code >= 300) return undefined;
      session.hash = known.hash;
    }
    return answerOf(session, `HASH ${path}`, known.digits, work);
  }
  const command = known.commands.find((name) => features.has(name));
  return command === undefined ? undefined : answerOf(session, `${command} ${path}`, known.digits, work);
}

async function answerOf(
  session: Session,
  command: string,
  digits: number,
  work: Work,
): Promise<string | undefined> {
  const reply = await session.control.ask(command, work);
  if (reply.code >= 300) throw replyError(reply, work.doing);
  // `SHA-256 0-49 DIGEST NAME`, or the digest alone: the name is last, and may look like anything.
  const words = reply.lines.at(-1)?.trim().split(/\s+/) ?? [];
  const value = words.slice(0, 3).find((word) => word.length === digits && /^[0-9A-Fa-f]+$/.test(word));
  return value?.toLowerCase();
}
