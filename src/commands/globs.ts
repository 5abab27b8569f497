import { TransferError } from '../errors.ts';

/** One `--include` or `--exclude`. */
export interface GlobRule {
  readonly include: boolean;
  readonly glob: string;
}

export type Filter = (path: string, isDirectory: boolean) => boolean;

/** Directories whose verdict is remembered: a walk asks for the same few again and again. */
const REMEMBERED = 4096;

/**
 * Which paths, relative and `/`-separated, are copied. The first rule that matches decides; where none does a path is
 * copied, unless every rule is an include. What is below a left-out directory is left out.
 *
 * `*` and `?` match within a name, `**` across directories, `[a-z]` one character, `\` takes the next character as it
 * is. A glob without a `/` matches names anywhere, one with a `/` the whole path, one that ends in `/` directories only.
 */
export function createFilter(rules: readonly GlobRule[]): Filter {
  if (rules.length === 0) return () => true;
  const compiled = rules.map((rule) => ({ include: rule.include, ...compile(rule.glob) }));
  const otherwise = rules.some((rule) => !rule.include);
  const verdicts = new Map<string, boolean>();

  function decide(path: string, isDirectory: boolean): boolean {
    for (const { include, pattern, directoriesOnly } of compiled) {
      if ((isDirectory || !directoriesOnly) && pattern.test(path)) return include;
    }
    return isDirectory || otherwise;
  }

  function isEntered(directory: string): boolean {
    const known = verdicts.get(directory);
    if (known !== undefined) return known;
    const slash = directory.lastIndexOf('/');
    const verdict = (slash < 0 || isEntered(directory.slice(0, slash))) && decide(directory, true);
    if (verdicts.size >= REMEMBERED) verdicts.clear();
    verdicts.set(directory, verdict);
    return verdict;
  }

  return (path, isDirectory) => {
    if (isDirectory) return isEntered(path);
    const slash = path.lastIndexOf('/');
    return (slash < 0 || isEntered(path.slice(0, slash))) && decide(path, false);
  };
}

/** Whether a whole path, relative and `/`-separated, is one that the glob stands for. */
export function createMatcher(glob: string): (path: string) => boolean {
  const { pattern } = compile(`/${glob}`);
  return (path) => pattern.test(path);
}

function compile(glob: string): { readonly pattern: RegExp; readonly directoriesOnly: boolean } {
  const directoriesOnly = glob.length > 1 && glob.endsWith('/');
  const body = directoriesOnly ? glob.slice(0, -1) : glob;
  const isPath = body.includes('/');
  const anchored = body.startsWith('/') ? body.slice(1) : body;
  try {
    const pattern = new RegExp(`${isPath ? '^' : '(?:^|/)'}${translate(anchored)}$`, 'su');
    return { pattern, directoriesOnly };
  } catch (cause) {
    throw new TransferError('invalid-request', `expected a glob such as \`*.dat\`, got \`${glob}\``, {
      cause,
    });
  }
}

const TOKEN = /(^|\/)\*\*\/|\*\*+|\*|\?|\[([!^]?)(\]?(?:\\.|[^\]\\])*)\]|\\(.)|([^*?[\\/]+)|(.)/gsu;

function translate(glob: string): string {
  return glob.replace(
    TOKEN,
    (token, start?: string, not?: string, set?: string, escaped?: string, plain?: string) => {
      if (start !== undefined) return `${start}(?:.*/)?`;
      if (token.startsWith('**')) return '.*';
      if (token === '*') return '[^/]*';
      if (token === '?') return '[^/]';
      if (set !== undefined) return `${not ? '(?!/)[^' : '['}${set.replace(/\\?([\s\S])/gu, escapeInSet)}]`;
      return literal(escaped ?? plain ?? token);
    },
  );
}

function escapeInSet(_: string, character: string): string {
  return /[\\\]^[]/.test(character) ? `\\${character}` : character;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
