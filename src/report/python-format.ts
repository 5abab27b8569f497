/**
 * A non-negative number with 0 or 1 decimals, rounded as the formats of the original are: ties to the even digit, where
 * `toFixed` goes up. Exact binary ties with one decimal end in .25 or .75; only the first rounds otherwise.
 */
export function pythonFixed(value: number, decimals: 0 | 1): string {
  if (decimals === 0) {
    const floor = Math.floor(value);
    return value - floor === 0.5 && floor % 2 === 0 ? String(floor) : value.toFixed(0);
  }
  return value - Math.floor(value) === 0.25 ? (value - 0.05).toFixed(1) : value.toFixed(1);
}

const PREFIXES = [
  ['T', 1024 ** 4],
  ['G', 1024 ** 3],
  ['M', 1024 ** 2],
  ['K', 1024],
] as const;

/** One decimal, a space and a prefix, factor 1024, chosen with a strict `>`: `1024.0 `, `1.1 K`, `2.9 M`. */
export function pythonPrefixed(value: number): string {
  for (const [prefix, factor] of PREFIXES) {
    if (value > factor) return `${pythonFixed(value / factor, 1)} ${prefix}`;
  }
  return `${pythonFixed(value, 1)} `;
}

/** JSON on one line with the spaces and the ASCII-only strings of Python's `json.dumps`. */
export function pythonJson(value: PythonJson): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') {
    return JSON.stringify(value).replace(
      /[\x7f-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  }
  if (isList(value)) return `[${value.map(pythonJson).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, entry]) => `${pythonJson(key)}: ${pythonJson(entry)}`)
    .join(', ')}}`;
}

export type PythonJson = string | number | readonly PythonJson[] | { readonly [key: string]: PythonJson };

function isList(value: PythonJson): value is readonly PythonJson[] {
  return Array.isArray(value);
}
