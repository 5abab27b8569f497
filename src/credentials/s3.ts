import { TransferError } from '../errors.ts';
import type { Location, UrlSecret } from '../location.ts';
import type { S3Access } from '../protocol.ts';
import { type AwsOptions, createAws } from './aws.ts';
import type { Found } from './compose.ts';
import { createS3Sections, type S3Section, type S3Sections } from './s3-sections.ts';
import type { SectionOptions } from './section-lookup.ts';

/** Schemes that are asked here. */
export const S3_SCHEMES: ReadonlySet<string> = new Set(['s3', 's3s']);

/**
 * How an S3 URL is reached. `s3://user@site/bucket/key`: sections `[site]` and `[user@site]` of the site's credentials
 * file. `s3://bucket/key`: section `[s3://bucket]` where there is one, and the standard places of AWS tools; with a
 * section `[site]` that has an endpoint, `s3://site/bucket/key` is asked unsigned.
 */
export function createS3Lookup(
  options: SectionOptions & AwsOptions,
): (location: Location, fromUrl: UrlSecret | undefined, again: boolean) => Promise<Found> {
  const sectionsFor = createS3Sections(options);
  const aws = createAws(options);

  return async (location, fromUrl, again) => {
    if (fromUrl?.password !== undefined) {
      throw new TransferError(
        'invalid-request',
        `\`${location.scheme}\` URL: expected no secret key in it, got one`,
        { hint: 'write the keys into the section [user@site] of a credentials file' },
      );
    }
    const sections = await sectionsFor(location.site, again);
    const { authority } = location;
    if (fromUrl?.username) return ofUser(fromUrl.username, authority, sections);
    const site = sections?.find(authority);
    if (site?.settings.endpoint !== undefined) {
      return found({ ...withoutKeys(site), isSite: true, source: `${site.source} is asked without a user` }, [
        site,
      ]);
    }
    const own = sections?.find(`s3://${authority}`);
    return ofBucket(own, again);
  };

  async function ofBucket(own: S3Section | undefined, again: boolean): Promise<Found> {
    const settings = await aws.settings(again);
    const hasKeys = own?.settings.accessKeyId !== undefined && own.settings.secretAccessKey !== undefined;
    const keys =
      own && (hasKeys || own.isAnonymous)
        ? { ...(own.isAnonymous ? {} : own.settings), source: own.source }
        : await aws.keys(again);
    const { accessKeyId, secretAccessKey, sessionToken, ...more } = own?.settings ?? {};
    return found({ ...settings, ...more, ...keys, isSite: false }, own ? [own] : []);
  }
}

function ofUser(user: string, site: string, sections: S3Sections | undefined): Found {
  const name = `${user}@${site}`;
  if (!sections) {
    throw new TransferError('invalid-request', `looking for \`${name}\`: there is no credentials file`, {
      hint: `name one with PEGASUS_CREDENTIALS; it needs the sections [${site}] and [${name}]`,
    });
  }
  const [about, own] = [sections.find(site), sections.find(name)];
  if (about?.settings.endpoint === undefined) {
    throw new TransferError(
      'invalid-request',
      `looking for \`${name}\`: no \`endpoint\` in a section [${site}] of ${sections.file}`,
      { hint: 'the site of the URL is the name of a section, not a host' },
    );
  }
  const anonymous = [own, about].find((section) => section?.isAnonymous);
  const { accessKeyId, secretAccessKey } = own?.settings ?? {};
  if (anonymous) {
    const source = `${anonymous.source} is anonymous`;
    return found({ ...withoutKeys(about), isSite: true, source }, own ? [about, own] : [about]);
  }
  if (!own || accessKeyId === undefined || secretAccessKey === undefined) {
    throw new TransferError(
      'unauthenticated',
      `looking for \`${name}\`: no \`access_key\` and \`secret_key\` in a section [${name}] of ${sections.file}`,
    );
  }
  const access = { ...withoutKeys(about), ...own.settings, isSite: true, source: own.source };
  return found(access, [about, own]);
}

function withoutKeys({ settings }: S3Section): S3Section['settings'] {
  const { accessKeyId, secretAccessKey, sessionToken, ...rest } = settings;
  return rest;
}

function found(s3: S3Access, sections: readonly S3Section[]): Found {
  const isVerified = sections.every(({ verifyTls }) => verifyTls);
  return { secrets: { s3, ...(isVerified ? {} : { verifyTls: false }) }, sources: [s3.source] };
}
