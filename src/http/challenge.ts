/** What a server wants to be shown (RFC 9110 §11.6.1). */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** Lower-case names; quoted strings without their quotes. */
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const PARAMETER =
  /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z]+))/y;
/** In place of parameters, as in `Negotiate YII…`. */
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const BETWEEN = /[ \t,]*/y;

/** The challenges of a `WWW-Authenticate` field, in order; repeated fields come joined by commas. Stops where it is malformed. */
export function parseChallenges(field: string | undefined): readonly Challenge[] {
  const challenges: Challenge[] = [];
  const text = field ?? '';
  let parameters: Map<string, string> | undefined;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  for (take(BETWEEN); at < text.length; take(BETWEEN)) {
    const parameter = parameters && take(PARAMETER);
    if (parameters && parameter?.[1] !== undefined) {
      const value = parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? '';
      parameters.set(parameter[1].toLowerCase(), value);
      continue;
    }
    const scheme = take(TOKEN)?.[0];
    if (scheme === undefined) break;
    parameters = new Map();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    take(BETWEEN);
    PARAMETER.lastIndex = at;
    if (!PARAMETER.test(text)) skipToken68();
  }
  return challenges;

  function skipToken68(): void {
    const before = at;
    // `Basic, Digest …`: a comma before it means that this is the next scheme.
    if (text.slice(0, before).trimEnd().endsWith(',')) return;
    take(TOKEN68);
  }
}
