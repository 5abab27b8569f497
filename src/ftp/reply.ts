import { TransferError } from '../errors.ts';

/** One reply of an FTP server (RFC 959 §4.2). Its text is bytes as Latin-1: names in it are in whatever the server's are. */
export interface Reply {
  readonly code: number;
  /** Without the codes. The first and the last are messages, what is between them is data. */
  readonly lines: readonly string[];
}

/** A reply that never ends must not fill the memory; FEAT and MLST, the longest ones, have a few kilobytes. */
const MAX_REPLY = 256 * 1024;

/** Takes the bytes of a control connection as they come. */
export interface ReplyReader {
  /** The replies that are complete with these bytes. Throws `unexpected` for what is no FTP. */
  push(text: string): Reply[];
  /** True in the middle of a reply. */
  isPartial(): boolean;
}

export function createReplyReader(): ReplyReader {
  let rest = '';
  let open: { readonly code: string; readonly lines: string[] } | undefined;
  let size = 0;

  function take(line: string): Reply | undefined {
    if (open) {
      const isLast = line === open.code || line.startsWith(`${open.code} `);
      const isMarked = isLast || line.startsWith(`${open.code}-`);
      open.lines.push(isMarked ? line.slice(4) : line);
      if (!isLast) return undefined;
      const reply = { code: Number(open.code), lines: open.lines };
      open = undefined;
      return reply;
    }
    const shape = /^([1-6]\d\d)(?:$|([ -])(.*)$)/s.exec(line);
    if (!shape) {
      throw new TransferError('unexpected', `expected an FTP reply, got \`${shownText(line)}\``, {
        hint: 'look at the port: it may be that of another service',
      });
    }
    const [, code = '', mark, text = ''] = shape;
    if (mark !== '-') return { code: Number(code), lines: [text] };
    open = { code, lines: [text] };
    return undefined;
  }

  return {
    push(text) {
      size += text.length;
      rest += text;
      const replies: Reply[] = [];
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
        const line = rest.slice(0, end).replace(/\r$/, '');
        rest = rest.slice(end + 1);
        const reply = take(line);
        if (!reply) continue;
        replies.push(reply);
        size = rest.length;
      }
      if (size > MAX_REPLY)
        throw new TransferError('unexpected', `the reply is longer than ${MAX_REPLY} bytes`);
      return replies;
    },
    isPartial: () => open !== undefined || rest !== '',
  };
}

/** What a server said, for a message: one line, printable, not too long. */
export function shownText(text: string): string {
  const readable = Buffer.from(text, 'latin1').toString('utf8');
  const line = readable.replace(/[\p{C}\p{Z}]+/gu, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
