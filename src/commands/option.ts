import { DIGEST_DIGITS, isAlgorithm } from '../integrity/expected.ts';
import { GRADES, NO_REQUIREMENT, parseRequirement, type Requirement } from '../integrity/policy.ts';
import type { Algorithm } from '../protocol.ts';

/** One option: declared once, for the parser, the environment, the help, the README and the completions. */
export interface Option<V> {
  /** Long name, without dashes. */
  readonly name: string;
  readonly letter?: string;
  /** Other long names that mean the same. */
  readonly aliases?: readonly string[];
  /** Variable that stands in for the option when it is not given. */
  readonly env?: string;
  /** What the help calls the value; none for a flag. */
  readonly value?: string;
  /** Completes `expected …`. */
  readonly expects: string;
  readonly group: 'common' | 'rare';
  /** One line, at most 50 columns. */
  readonly help: string;
  readonly initial: V;
  /** The initial value as the help shows it. */
  readonly shown?: string;
  /** The value that `text` stands for, `previous` being what was there; undefined when it stands for none. */
  parse(text: string, previous: V): V | undefined;
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The values that a table's options have once parsed. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never;
};

type Common = Pick<Option<unknown>, 'name' | 'help'> &
  Partial<Pick<Option<unknown>, 'letter' | 'aliases' | 'env' | 'shown' | 'value' | 'group'>>;

const YES = ['1', 'yes', 'true', 'on'];
const NO = ['0', 'no', 'false', 'off'];

/** Off until given. */
export function flag(common: Common): Option<boolean> {
  return {
    group: 'common',
    ...common,
    expects: 'on or off',
    initial: false,
    parse: (text) =>
      YES.includes(text.toLowerCase()) ? true : NO.includes(text.toLowerCase()) ? false : undefined,
  };
}

/** A whole number between two bounds. */
export function whole<V extends number | undefined>(
  common: Common & { readonly min: number; readonly max: number; readonly initial: V },
): Option<number | V> {
  const { min, max, initial, ...rest } = common;
  return {
    group: 'common',
    value: 'N',
    ...(initial === undefined ? {} : { shown: String(initial) }),
    ...rest,
    expects: `a whole number from ${min} to ${max}`,
    initial,
    parse(text) {
      if (!/^\d{1,15}$/.test(text)) return undefined;
      const number = Number(text);
      return number < min || number > max ? undefined : number;
    },
  };
}

const POWERS = ['', 'K', 'M', 'G', 'T'];

/** Bytes, with K, M, G or T for powers of 1024. */
export function bytes<V extends number | undefined>(
  common: Common & { readonly min: number; readonly initial: V; readonly what: string },
): Option<number | V> {
  const { min, what, ...rest } = common;
  return {
    group: 'common',
    ...rest,
    expects: what,
    parse(text) {
      const [, number = '', unit = ''] =
        /^(\d{1,12}(?:\.\d{1,6})?)([KMGT]?)(?:i?B)?(?:\/s)?$/i.exec(text) ?? [];
      if (number === '') return undefined;
      const size = Math.floor(Number(number) * 1024 ** POWERS.indexOf(unit.toUpperCase()));
      return size < min || !Number.isSafeInteger(size) ? undefined : size;
    },
  };
}

const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };
/** Longer than any run; timers take no more than 2^31 milliseconds. */
const MOST_SECONDS = 24 * 86_400;

/** A duration, in seconds or with `s`, `m`, `h` or `d` behind it. */
export function seconds(
  common: Common & { readonly min?: number; readonly initial: number },
): Option<number> {
  const { min = 0.001, ...rest } = common;
  return {
    group: 'rare',
    value: 'TIME',
    ...rest,
    expects: 'a duration such as `90`, `90s`, `5m` or `6h`, up to 24 days',
    parse(text) {
      const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)([smhd]?)$/i.exec(text) ?? [];
      if (number === '') return undefined;
      const value = Number(number) * (SECONDS[unit.toLowerCase()] ?? 1);
      return value < min || value > MOST_SECONDS ? undefined : value;
    },
  };
}

/** How long ago something was, in seconds. The unit must be there: `7` would be days to one and seconds to another. */
export function age(common: Common & { readonly initial: number }): Option<number> {
  return {
    group: 'common',
    value: 'AGE',
    ...common,
    expects: 'an age with its unit, such as `30m`, `12h` or `7d`',
    parse(text) {
      const [, number = '', unit = ''] = /^(\d{1,6}(?:\.\d{1,3})?)([smhd])$/i.exec(text) ?? [];
      return number === '' ? undefined : Number(number) * (SECONDS[unit.toLowerCase()] ?? 1);
    },
  };
}

/** Any text but none. */
export function text(common: Common & { readonly value: string }): Option<string | undefined> {
  return {
    group: 'common',
    ...common,
    expects: 'a name',
    initial: undefined,
    parse: (given) => (given === '' ? undefined : given),
  };
}

/** One of a few words. */
export function choice<V extends string>(
  common: Common & { readonly words: readonly V[] },
): Option<V | undefined> {
  const { words, ...rest } = common;
  return {
    group: 'common',
    value: 'WORD',
    ...rest,
    expects: words.join(', '),
    initial: undefined,
    parse: (given) => words.find((word) => word === given),
  };
}

/** May be given several times. */
export function texts(common: Common & { readonly value: string }): Option<readonly string[]> {
  return {
    group: 'common',
    ...common,
    expects: 'a name',
    initial: [],
    parse: (given, previous) => (given === '' ? undefined : [...previous, given]),
  };
}

/** Names of digests, separated by commas. */
export function algorithms(
  common: Common & { readonly initial?: readonly Algorithm[] },
): Option<readonly Algorithm[]> {
  return {
    group: 'common',
    value: 'ALG,…',
    ...common,
    expects: `names of ${Object.keys(DIGEST_DIGITS).join(', ')}`,
    initial: common.initial ?? [],
    parse(given) {
      const names = given.split(',').map((name) => name.trim().toLowerCase().replaceAll('-', ''));
      return names.every(isAlgorithm) ? [...new Set(names)] : undefined;
    },
  };
}

/** The least grades of both sides. May be given several times. */
export function requirement(common: Common): Option<Requirement> {
  return {
    group: 'common',
    value: '[SIDE=]GRADE',
    ...common,
    expects: `a grade of ${GRADES.join(', ')}, with \`source=\` or \`destination=\` before it for one side`,
    initial: NO_REQUIREMENT,
    parse: parseRequirement,
  };
}
