import { TransferError } from '../errors.ts';
import type { S3Access } from '../protocol.ts';

export interface AwsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/** Keys, or why there are none. */
export type AwsKeys = Pick<S3Access, 'accessKeyId' | 'secretAccessKey' | 'sessionToken' | 'source'>;

export type AwsSettings = Pick<S3Access, 'region' | 'endpoint' | 'pathStyle' | 'requestPayer'>;

/** The standard places of AWS tools: environment, profiles, web identity, container and instance role. */
export interface Aws {
  keys(again: boolean): Promise<AwsKeys>;
  settings(again: boolean): Promise<AwsSettings>;
}

type Sections = Readonly<Record<string, Readonly<Record<string, string | undefined>>>>;
type Provider = (options?: { readonly forceRefresh?: boolean }) => Promise<{
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}>;

const OF_NETWORK: ReadonlySet<string> = new Set(
  'ECONNREFUSED ECONNRESET EHOSTUNREACH ENETUNREACH EPIPE ETIMEDOUT EAI_AGAIN'.split(' '),
);

/** What AWS's own chain says when it found nothing anywhere. */
const NOTHING_FOUND = 'Could not load credentials from any providers';

/**
 * The names are those of AWS (SDKs and Tools reference guide) and, for what that has no names for, of GDAL
 * (`AWS_NO_SIGN_REQUEST`, `AWS_REQUEST_PAYER`, `AWS_VIRTUAL_HOSTING`). Packages of AWS are loaded when the environment
 * itself does not say it all.
 */
export function createAws({ env, home }: AwsOptions): Aws {
  const profile = env.AWS_PROFILE || env.AWS_DEFAULT_PROFILE || 'default';
  const filepath = env.AWS_SHARED_CREDENTIALS_FILE || `${home}/.aws/credentials`;
  const configFilepath = env.AWS_CONFIG_FILE || `${home}/.aws/config`;
  let provider: Promise<Provider> | undefined;
  let nothing: AwsKeys | undefined;
  let config: Promise<Sections> | undefined;

  async function loadProvider(): Promise<Provider> {
    const [{ defaultProvider }, { state }] = await Promise.all([
      import('@aws-sdk/credential-provider-node'),
      import('@aws-sdk/core/client'),
    ]);
    // It tells whoever runs Node 20, by eight lines on stderr, what only we can do something about.
    state.warningEmitted = true;
    return defaultProvider({ profile, filepath, configFilepath });
  }

  async function loadConfig(): Promise<Sections> {
    const { loadSharedConfigFiles } = await import('@smithy/shared-ini-file-loader');
    return (await loadSharedConfigFiles({ filepath, configFilepath, ignoreCache: true })).configFile;
  }

  async function fromChain(again: boolean): Promise<AwsKeys> {
    if (nothing && !again) return nothing;
    provider ??= loadProvider();
    try {
      const found = await (await provider)(again ? { forceRefresh: true } : {});
      const { accessKeyId, secretAccessKey, sessionToken } = found;
      const token = sessionToken === undefined ? {} : { sessionToken };
      return { accessKeyId, secretAccessKey, ...token, source: `the AWS profile \`${profile}\` or role` };
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : '';
      if (!text.startsWith(NOTHING_FOUND)) throw unusable(text, cause);
      nothing = { source: 'no AWS credentials were found in environment, profile or role' };
      return nothing;
    }
  }

  return {
    async keys(again) {
      if (isYes(env.AWS_NO_SIGN_REQUEST)) return { source: 'AWS_NO_SIGN_REQUEST is set' };
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env;
      if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return fromChain(again);
      return {
        accessKeyId: AWS_ACCESS_KEY_ID,
        secretAccessKey: AWS_SECRET_ACCESS_KEY,
        ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
        source: 'AWS_ACCESS_KEY_ID',
      };
    },
    async settings(again) {
      const own = {
        region: env.AWS_REGION || env.AWS_DEFAULT_REGION,
        endpoint: env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL,
        pathStyle: env.AWS_VIRTUAL_HOSTING === undefined ? undefined : !isYes(env.AWS_VIRTUAL_HOSTING),
        requestPayer: env.AWS_REQUEST_PAYER === 'requester' ? true : undefined,
      };
      if (own.region !== undefined && own.endpoint !== undefined) return defined(own);
      if (again) config = undefined;
      config ??= loadConfig();
      return defined({ ...fromConfig(await config, profile, env), ...defined(own) });
    },
  };
}

function fromConfig(config: Sections, profile: string, env: AwsOptions['env']): AwsSettings {
  const section = config[profile] ?? {};
  const services = section.services === undefined ? undefined : config[`services.${section.services}`];
  const isIgnored = isYes(env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS);
  const endpoint = isIgnored ? undefined : (services?.['s3.endpoint_url'] ?? section.endpoint_url);
  const style = section['s3.addressing_style'];
  return defined({
    region: section.region,
    endpoint,
    pathStyle: style === 'path' ? true : style === 'virtual' ? false : undefined,
  });
}

function defined<T extends object>(given: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof T]: Exclude<T[Name], undefined> };
}

/** Whoever gives the keys could not be reached, or is in trouble; what it refuses it will refuse again. */
function mayComeBack(error: unknown): boolean {
  for (let one = error, depth = 0; one instanceof Error && depth < 3; one = one.cause, depth += 1) {
    const { code, $metadata } = one as {
      readonly code?: unknown;
      readonly $metadata?: { readonly httpStatusCode?: number };
    };
    const status = $metadata?.httpStatusCode ?? 0;
    if (status >= 500 || status === 429) return true;
    if (typeof code === 'string' && OF_NETWORK.has(code)) return true;
  }
  return false;
}

function isYes(word: string | undefined): boolean {
  return /^(1|yes|true|on)$/i.test(word ?? '');
}

function unusable(text: string, cause: unknown): TransferError {
  const shown = text.replace(/[^\x20-\x7e]/g, ' ').slice(0, 200);
  if (mayComeBack(cause)) {
    return new TransferError('unavailable', `looking for AWS credentials: ${shown}`, { cause });
  }
  return new TransferError('unauthenticated', `looking for AWS credentials: ${shown}`, {
    cause,
    hint: 'log in again, or choose another profile with AWS_PROFILE; AWS_NO_SIGN_REQUEST=yes reads public data',
  });
}
