/**
 * What `search` finds, looked for once unless it is to be `fresh`: a tag that moves meanwhile would make two things of one,
 * and registries count every question. A search that fails is no answer.
 */
export function findOnce<T>(
  search: (signal: AbortSignal) => Promise<T>,
): (signal: AbortSignal, isFresh?: boolean) => Promise<T> {
  let found: Promise<T> | undefined;
  return (signal, isFresh = false) => {
    if (found && !isFresh) return found;
    const finding = search(signal);
    found = finding;
    finding.catch(() => {
      if (found === finding) found = undefined;
    });
    return finding;
  };
}
