/** Pulls that a registry still allows, as Docker Hub tells it with every manifest. */
export interface PullLimit {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds in which so many are allowed. */
  readonly seconds?: number;
}

/** What `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 87;w=21600` say; undefined where they say nothing. */
export function pullLimitOf(headers: Readonly<Record<string, string>>): PullLimit | undefined {
  const [limit, remaining] = [parse(headers['ratelimit-limit']), parse(headers['ratelimit-remaining'])];
  if (!limit || !remaining) return undefined;
  const seconds = limit.seconds ?? remaining.seconds;
  return { limit: limit.count, remaining: remaining.count, ...(seconds === undefined ? {} : { seconds }) };
}

function parse(field: string | undefined): { count: number; seconds?: number } | undefined {
  const [, count, seconds] = /^\s*(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?/.exec(field ?? '') ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), ...(seconds === undefined ? {} : { seconds: Number(seconds) }) };
}

/** `87 of 100 pulls in 6 h are left`. */
export function describeLimit({ limit, remaining, seconds }: PullLimit): string {
  const span =
    seconds === undefined ? '' : ` in ${seconds % 3600 === 0 ? `${seconds / 3600} h` : `${seconds} s`}`;
  return `${remaining} of ${limit} pulls${span} are left`;
}
