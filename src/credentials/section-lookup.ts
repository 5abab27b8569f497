import { TransferError } from '../errors.ts';
import { siteKey } from '../location.ts';
import { type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';
import { parseIni } from './ini.ts';
import type { Origin } from './origin.ts';
import { createSections, type SectionSecrets, type Sections } from './sections.ts';

export interface SectionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly now: () => number;
}

/** A section and its name for people. */
export interface FoundSection {
  readonly section: SectionSecrets;
  readonly source: string;
}

/**
 * Looks into the file that `PEGASUS_CREDENTIALS_<site>` names, else `PEGASUS_CREDENTIALS`. Rejects with
 * `invalid-request` when that file is missing or malformed, `permission-denied` when others can read it.
 */
export function createSectionLookup(
  options: SectionOptions,
): (site: string, origin: Origin, again: boolean) => Promise<FoundSection | undefined> {
  const { env, uid, now } = options;
  const files = createFileCache<Sections>((found, file) => {
    refuseExposed(found, file, uid);
    return createSections(parseIni(found.text, readingFile(file)), readingFile(file));
  }, now);

  return async (site, origin, again) => {
    const file = credentialsFile(env, site);
    if (!file) return undefined;
    const sections = await files(file, again);
    if (!sections) {
      throw new TransferError('invalid-request', `${readingFile(file)}: no such file`, {
        hint: `create it with mode 0600, or unset ${file.variable}`,
      });
    }
    const section = sections(origin);
    return section && { section, source: `section [${section.name}] of ${file.variable}` };
  };
}

function credentialsFile(env: SectionOptions['env'], site: string): NamedFile | undefined {
  const ofSite = site === '' ? '' : `PEGASUS_CREDENTIALS_${siteKey(site)}`;
  const variable = env[ofSite] ? ofSite : 'PEGASUS_CREDENTIALS';
  const path = env[variable];
  return path ? { path, variable } : undefined;
}
