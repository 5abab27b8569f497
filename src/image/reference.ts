import { TransferError } from '../errors.ts';

/** What an image is called: where it is kept, and which one of there (OCI distribution specification, `Pulling manifests`). */
export interface Reference {
  /** `host[:port]`, lower case; {@link HUB} for Docker Hub, whatever name it was given. */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:` and 64 hexadecimal digits. With a tag beside it, it alone decides. */
  readonly digest?: string;
}

/** The name that stands for Docker Hub in names of images. */
export const HUB = 'docker.io';

const HUB_NAMES: ReadonlySet<string> = new Set([HUB, 'index.docker.io', 'registry-1.docker.io']);

const SCHEME = /^(docker|oci):\/+/i;
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(\d{1,5}))?$/;
/** OCI distribution specification, `Pulling manifests`: `<name>` and `<reference>`. */
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
/** Registries refuse longer ones; the registry's name counts too. */
const MOST_NAME = 255;

/** Matches a digest as manifests write it: the one algorithm that registries all have. */
export const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * The image that `text` names, with or without `docker://` or `oci://` before it, and however many slashes behind the
 * colon. Without a registry it is of Docker Hub, and one name alone is of its `library/`; without tag and digest it is
 * `latest`. Throws `invalid-request` that says what is wrong with which part.
 */
export function parseReference(text: string): Reference {
  const name = text.replace(SCHEME, '').replace(/^\/+/, '');
  const doing = `image \`${shown(text)}\``;
  const at = name.indexOf('@');
  const digest = at < 0 ? undefined : parseDigestPart(name.slice(at + 1), doing);
  const { registry, rest } = splitRegistry(at < 0 ? name : name.slice(0, at), doing);
  const colon = rest.lastIndexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  const path = colon < 0 ? rest : rest.slice(0, colon);
  if (tag !== undefined && !TAG.test(tag)) {
    throw invalid(
      doing,
      `expected a tag of up to 128 letters, digits, \`.\`, \`_\` and \`-\`, got \`${shown(tag)}\``,
    );
  }
  const repository = registry === HUB && path !== '' && !path.includes('/') ? `library/${path}` : path;
  if (!REPOSITORY.test(repository)) throw invalid(doing, repositoryProblem(repository));
  if (registry.length + 1 + repository.length > MOST_NAME) {
    throw invalid(doing, `expected a name of at most ${MOST_NAME} characters, got more`);
  }
  return {
    registry,
    repository,
    ...(tag === undefined ? (digest === undefined ? { tag: 'latest' } : {}) : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

function splitRegistry(name: string, doing: string): { registry: string; rest: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash).toLowerCase();
  if (!/[.:]/.test(first) && first !== 'localhost') return { registry: HUB, rest: name };
  const [, port] = HOST.exec(first) ?? [];
  if (!HOST.test(first) || (port !== undefined && (Number(port) < 1 || Number(port) > 65535))) {
    throw invalid(doing, `expected a registry such as \`host\` or \`host:5000\`, got \`${shown(first)}\``);
  }
  return { registry: HUB_NAMES.has(first) ? HUB : first, rest: name.slice(slash + 1) };
}

function parseDigestPart(text: string, doing: string): string {
  const digest = text.toLowerCase();
  if (DIGEST.test(digest)) return digest;
  throw invalid(
    doing,
    `expected \`sha256:\` and 64 hexadecimal digits behind the \`@\`, got \`${shown(text)}\``,
  );
}

function repositoryProblem(repository: string): string {
  if (repository === '') return 'expected the name of a repository, got none';
  const isCase = REPOSITORY.test(repository.toLowerCase());
  const what = isCase ? 'a repository in lower case' : 'a repository such as `name/of/it`';
  return `expected ${what}, got \`${shown(repository)}\``;
}

/** The reference as people write it, complete: `docker.io/library/alpine:3.20`. Parsing it gives the same reference. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  const tagged = tag === undefined ? '' : `:${tag}`;
  return `${registry}/${repository}${tagged}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * `host/repository:tag`, for archives: they carry names and tags only. One that was named by digest alone gets the tag
 * `sha256-HEX`, since an archive without a name is loaded as one that nothing can refer to.
 */
export function archiveName({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}:${tag ?? digest?.replace(':', '-') ?? 'latest'}`;
}

/** What stands behind `/manifests/` for it: the digest where there is one. */
export function manifestName({ tag, digest }: Reference): string {
  return digest ?? tag ?? 'latest';
}

function shown(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]/g, '?');
  // `user:password@host/…` given by mistake; a digest holds no secret.
  const masked = safe.replace(/^([a-z]+:\/+)?[^/@]*:[^/@]*@(?!sha\d+:)/i, '$1***@');
  return masked.length > 120 ? `${masked.slice(0, 120)}…` : masked;
}

function invalid(doing: string, problem: string): TransferError {
  return new TransferError('invalid-request', `${doing}: ${problem}`);
}
