import { TransferError } from '../errors.ts';
import type { Settings } from '../protocol.ts';

type Policy = NonNullable<Settings['ftp']>['tls'];

const POLICIES: readonly string[] = ['auto', 'required', 'off'] satisfies readonly Policy[];

/** `BRIDLE_FTP_TLS`: when `ftp` URLs use AUTH TLS. Throws `invalid-request` for any other word: it must not mean `off`. */
export function ftpSettings(env: Readonly<Record<string, string | undefined>>): {
  readonly tls: Policy;
} {
  const word = env.BRIDLE_FTP_TLS?.toLowerCase() || 'auto';
  if (POLICIES.includes(word)) return { tls: word as Policy };
  throw new TransferError(
    'invalid-request',
    `BRIDLE_FTP_TLS: expected \`auto\`, \`required\` or \`off\`, got \`${word}\``,
  );
}
