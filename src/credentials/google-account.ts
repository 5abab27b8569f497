import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { TransferError, toTransferError } from '../errors.ts';
import { type NamedFile, readCredentialFile, readingFile, refuseExposed } from './credential-file.ts';
import { parseIni } from './ini.ts';
import { readOption } from './interpolation.ts';
import { readPkcs12Key } from './pkcs12.ts';

/** What Google's library makes an account of: the JSON of a key file, or what comes to the same. */
export type GoogleAccount = Readonly<Record<string, unknown>> & { readonly type: string };

/** What Google's consoles encrypt every PKCS #12 key with. */
const USUAL_PASSWORD = 'notasecret';
const MOST_BYTES = 1024 * 1024;
/** Kinds of accounts whose JSON says where to find the secret, and is none. */
const OPEN_KINDS: ReadonlySet<string> = new Set(['external_account', 'external_account_authorized_user']);

/** The account of a key file in JSON. Rejects with `invalid-request` for a file that is missing or none. */
export async function readAccount(file: NamedFile, uid: number): Promise<GoogleAccount> {
  const found = await readCredentialFile(file);
  if (!found) throw missing(file);
  const account = parseAccount(found.text);
  if (!account) {
    throw new TransferError(
      'invalid-request',
      `${readingFile(file)}: expected the JSON of a Google account`,
      {
        hint: 'key files come from `gcloud iam service-accounts keys create FILE`',
      },
    );
  }
  if (!OPEN_KINDS.has(account.type)) refuseExposed(found, file, uid);
  return account;
}

function parseAccount(text: string): GoogleAccount | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    return typeof Reflect.get(value, 'type') === 'string' ? (value as GoogleAccount) : undefined;
  } catch {
    return undefined;
  }
}

function missing(file: NamedFile): TransferError {
  return new TransferError('invalid-request', `${readingFile(file)}: no such file`, {
    hint: `name an existing file, or unset ${file.variable}`,
  });
}

/**
 * The account that a boto file (gsutil's configuration) describes; its key file is `key` where that is given. Undefined
 * when it describes none that the JSON API takes.
 */
export async function readBotoAccount(
  boto: NamedFile,
  key: NamedFile | undefined,
  uid: number,
): Promise<{ readonly account: GoogleAccount | undefined; readonly project: string | undefined }> {
  const found = await readCredentialFile(boto);
  if (!found) throw missing(boto);
  refuseExposed(found, boto, uid);
  const doing = readingFile(boto);
  const ini = parseIni(found.text, doing);
  const option = (section: string, name: string) => readOption(ini, section, name, doing);
  const project = option('GSUtil', 'default_project_id');
  const keyPath = option('Credentials', 'gs_service_key_file');
  const file = key ?? (keyPath === undefined ? undefined : { path: keyPath });
  if (file) {
    const email = option('Credentials', 'gs_service_client_id');
    const password = option('Credentials', 'gs_service_key_file_password') ?? USUAL_PASSWORD;
    return { account: await readKeyFile(file, { email, password, doing, uid }), project };
  }
  const refreshToken = option('Credentials', 'gs_oauth2_refresh_token');
  if (refreshToken === undefined) return { account: undefined, project };
  const account = {
    type: 'authorized_user',
    client_id: option('OAuth2', 'client_id') ?? '',
    client_secret: option('OAuth2', 'client_secret') ?? '',
    refresh_token: refreshToken,
  };
  return { account, project };
}

/** A key in JSON knows its account; one in PKCS #12 has to be told. */
async function readKeyFile(
  file: NamedFile,
  about: {
    readonly email: string | undefined;
    readonly password: string;
    readonly doing: string;
    readonly uid: number;
  },
): Promise<GoogleAccount> {
  const bytes = await readBytes(file, about.uid);
  if (bytes[0] === 0x7b) return readAccount(file, about.uid);
  if (about.email === undefined) {
    throw new TransferError(
      'invalid-request',
      `${about.doing}: expected \`gs_service_client_id\` in [Credentials], the account of the key`,
    );
  }
  const key = readPkcs12Key(bytes, about.password, readingFile(file));
  return {
    type: 'service_account',
    client_email: about.email,
    private_key: String(key.export({ type: 'pkcs8', format: 'pem' })),
  };
}

async function readBytes(file: NamedFile, uid: number): Promise<Buffer> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const doing = readingFile(file);
  const handle = await open(file.path, flags).catch((error: unknown) => {
    const known = toTransferError(error, doing);
    throw known.code === 'not-found' ? missing(file) : known;
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > MOST_BYTES) {
      throw new TransferError('invalid-request', `${doing}: expected a key file of at most 1 MiB`);
    }
    refuseExposed({ text: '', owner: stat.uid, mode: stat.mode & 0o7777, identity: '' }, file, uid);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
