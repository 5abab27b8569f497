import { createPrivateKey, X509Certificate } from 'node:crypto';
import { posix } from 'node:path';
import { TransferError } from '../errors.ts';
import { siteKey } from '../location.ts';
import type { ClientCertificate } from '../protocol.ts';
import { type CredentialFile, type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';

export interface X509Options {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** Directory that everybody may write to, where grid tools leave proxies. */
  readonly shared: string;
  readonly now: () => number;
  readonly warn: (key: string, message: string) => void;
}

export interface FoundCertificate {
  readonly certificate: ClientCertificate;
  readonly source: string;
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[\s\S]{1,32768}?-----END (?:[A-Z]+ )?PRIVATE KEY-----/;
const RENEW = 'make a new one, with `voms-proxy-init` or `grid-proxy-init`';

/** Told apart by these, since two files may hold the same certificate and one file another one later. */
let ids = 0;

/**
 * Finds the client certificate of a site: `X509_USER_PROXY_<site>`, else `X509_USER_PROXY`, else `/tmp/x509up_u<uid>`,
 * where grid tools leave it: a file with the certificate, its key and the chain up to the authority (RFC 3820 §2.3). What
 * the site's own variable names must be good; the others are often left over, so that a missing or expired file is passed
 * over with a warning. Rejects with `permission-denied` when others can read it.
 *
 * In `/tmp` another user can plant a file: one that is not ours is passed over with a warning, so that nobody can stop
 * our transfers, or have us act as somebody else.
 */
export function createCertificateLookup(
  options: X509Options,
): (site: string, again: boolean) => Promise<FoundCertificate | undefined> {
  const { env, uid, shared, now, warn } = options;
  const files = createFileCache<ClientCertificate & { readonly until: number }>((found, file) => {
    if (file.variable === undefined) requireOwn(found, file, uid);
    refuseExposed(found, file, uid);
    return parse(found.text, file);
  }, now);
  const usual: NamedFile = { path: posix.join(shared, `x509up_u${uid}`), refuseLink: true };

  async function load(file: NamedFile, again: boolean): Promise<FoundCertificate | undefined> {
    const found = await files(file, again);
    const doing = readingFile(file);
    if (!found && file.variable === undefined) return undefined;
    if (!found) throw new TransferError('invalid-request', `${doing}: no such file`, { hint: RENEW });
    if (found.until < Date.now()) {
      const since = new Date(found.until).toISOString();
      throw new TransferError('unauthenticated', `${doing}: the certificate expired on ${since}`, {
        hint: RENEW,
      });
    }
    return { certificate: found, source: `certificate of ${file.variable ?? file.path}` };
  }

  return async (site, again) => {
    const ofSite = site === '' ? '' : `X509_USER_PROXY_${siteKey(site)}`;
    const variable = env[ofSite] ? ofSite : 'X509_USER_PROXY';
    const path = env[variable];
    const file = path ? { path, variable } : usual;
    try {
      return await load(file, again);
    } catch (error) {
      const mayPass = error instanceof TransferError && error.code !== 'permission-denied';
      if (file.variable === ofSite || !mayPass) throw error;
      warn(`x509 ${file.path}`, `${error.message}, going on without it`);
      return undefined;
    }
  };
}

/** Of root's files only root makes use here: where anybody may write, an owner says who wrote. */
function requireOwn(found: CredentialFile, file: NamedFile, uid: number): void {
  if (found.owner === uid) return;
  throw new TransferError(
    'invalid-request',
    `${readingFile(file)}: expected a file of user ${uid}, got one of user ${found.owner}`,
  );
}

function parse(text: string, file: NamedFile): ClientCertificate & { readonly until: number } {
  const doing = readingFile(file);
  const chain = text.match(CERTIFICATES) ?? [];
  const key = KEY.exec(text)?.[0];
  if (chain.length === 0 || key === undefined) {
    const what = chain.length === 0 ? 'a certificate' : 'a private key';
    throw new TransferError('invalid-request', `${doing}: expected ${what} in PEM form, got none`);
  }
  const certificates = chain.map((each) => reading(doing, 'certificate', () => new X509Certificate(each)));
  if (/ENCRYPTED/.test(key)) {
    throw new TransferError('invalid-request', `${doing}: the private key has a passphrase`, { hint: RENEW });
  }
  const isPair = reading(doing, 'private key', () => certificates[0]!.checkPrivateKey(createPrivateKey(key)));
  if (!isPair) {
    throw new TransferError(
      'invalid-request',
      `${doing}: the private key is not that of the first certificate`,
    );
  }
  const until = Math.min(...certificates.map(({ validTo }) => Date.parse(validTo)));
  return { id: ++ids, chain: chain.join('\n'), key, until };
}

/** OpenSSL's own words may quote what it read: only ours go on. */
function reading<T>(doing: string, what: string, read: () => T): T {
  try {
    return read();
  } catch {
    throw new TransferError('invalid-request', `${doing}: the ${what} cannot be read`);
  }
}
