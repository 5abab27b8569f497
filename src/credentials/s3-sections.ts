import { TransferError } from '../errors.ts';
import { siteKey } from '../location.ts';
import type { S3Access } from '../protocol.ts';
import { type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';
import { type Ini, parseIni } from './ini.ts';
import { readOption } from './interpolation.ts';
import type { SectionOptions } from './section-lookup.ts';
import { readBoolean } from './sections.ts';

/** Files that pegasus-s3 looks for when no variable names one. */
const OF_HOME = ['.pegasus/credentials.conf', '.pegasus/s3cfg'];

/** Options of one section about an S3 service. */
export interface S3Section {
  readonly settings: Partial<Omit<S3Access, 'isSite' | 'source'>>;
  readonly isAnonymous: boolean;
  readonly verifyTls: boolean;
  /** `section [name] of FILE`. */
  readonly source: string;
}

/** The sections of one file, by name. */
export interface S3Sections {
  /** For messages: the file and the variable that names it. */
  readonly file: string;
  /** Letter case aside; undefined when there is none. */
  find(name: string): S3Section | undefined;
}

/**
 * The credentials file of a site: `PEGASUS_CREDENTIALS_<site>`, `PEGASUS_CREDENTIALS`, `S3CFG`, or what lies in
 * `~/.pegasus`; undefined when there is none. Rejects with `invalid-request` when the one a variable names is missing or
 * malformed, `permission-denied` when others can read it.
 */
export function createS3Sections(
  options: SectionOptions & { readonly home: string },
): (site: string, again: boolean) => Promise<S3Sections | undefined> {
  const { env, home, uid, now } = options;
  const files = createFileCache<S3Sections>((found, file) => {
    refuseExposed(found, file, uid);
    return sectionsOf(parseIni(found.text, readingFile(file)), file);
  }, now);

  return async (site, again) => {
    const variables = [`PEGASUS_CREDENTIALS_${siteKey(site)}`, 'PEGASUS_CREDENTIALS', 'S3CFG'];
    const variable = variables.slice(site === '' ? 1 : 0).find((name) => env[name]);
    const path = variable === undefined ? undefined : env[variable];
    if (variable !== undefined && path) {
      const file: NamedFile = { path, variable };
      const sections = await files(file, again);
      if (sections) return sections;
      throw new TransferError('invalid-request', `${readingFile(file)}: no such file`, {
        hint: `create it with mode 0600, or unset ${variable}`,
      });
    }
    for (const name of OF_HOME) {
      const sections = await files({ path: `${home}/${name}` }, again);
      if (sections) return sections;
    }
    return undefined;
  };
}

function sectionsOf(ini: Ini, file: NamedFile): S3Sections {
  const known = new Map<string, S3Section | undefined>();
  const names = new Map([...ini.sections.keys()].map((name) => [name.toLowerCase(), name]));
  return {
    file: file.variable === undefined ? `\`${file.path}\`` : `${file.variable} (\`${file.path}\`)`,
    find(name) {
      const lower = name.toLowerCase();
      const written = ini.sections.has(name) ? name : names.get(lower);
      if (written === undefined) return undefined;
      if (!known.has(written)) known.set(written, readSection(ini, written, file));
      return known.get(written);
    },
  };
}

function readSection(ini: Ini, name: string, file: NamedFile): S3Section {
  const doing = readingFile(file);
  const where = `${doing}: section \`[${name}]\``;
  const text = (key: string) => {
    const value = readOption(ini, name, key, doing);
    if (value !== undefined && /[\x00-\x1f\x7f]/.test(value)) {
      throw new TransferError('invalid-request', `${where}, key \`${key}\`: expected one line of text`);
    }
    return value === '' ? undefined : value;
  };
  const flag = (key: string) => {
    const value = text(key);
    return value === undefined ? undefined : readBoolean(value, `${where}, key \`${key}\``);
  };
  const settings = {
    accessKeyId: text('access_key'),
    secretAccessKey: text('secret_key'),
    sessionToken: text('session_token'),
    endpoint: text('endpoint'),
    region: text('region'),
    pathStyle: flag('path_style'),
    requestPayer: flag('request_payer'),
    wholeChecksum: flag('crc64nvme'),
    deleteBatch: flag('batch_delete') === false ? 1 : batchSize(text('batch_delete_size'), where),
  };
  return {
    settings: Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)),
    isAnonymous: flag('anonymous') ?? false,
    verifyTls: flag('verify') ?? true,
    source: `section [${name}] of ${file.variable ?? file.path}`,
  };
}

function batchSize(value: string | undefined, where: string): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,6}$/.test(value) && Number(value) > 0) return Number(value);
  throw new TransferError(
    'invalid-request',
    `${where}, key \`batch_delete_size\`: expected a number from 1 to 1000`,
  );
}
