import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { type Ended, ended } from './run-command.ts';

export const LAUNCHER = fileURLToPath(new URL('../../bin/pegasus-kickstart', import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: records are looked into at any depth
export type Any = any;

export interface Wrapped extends Ended {
  readonly record: Any;
}

export interface WrapOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** What is done once the wrapper was started. */
  readonly during?: (pid: number) => void | Promise<void>;
}

/** Starts the wrapper with hardly anything in its environment, and its temporary files in the working directory. */
export async function wrap(args: readonly string[], options: WrapOptions): Promise<Ended> {
  const { cwd, env, input = '', during } = options;
  const child = spawn(LAUNCHER, args, {
    cwd,
    env: { PATH: '/usr/bin:/bin', KICKSTART_TMP: cwd, TZ: 'UTC', BRIDLE_NODE: process.execPath, ...env },
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const end = ended(child);
  await during?.(child.pid as number);
  return await end;
}

/** The one record in a text, as PyYAML and the original's splitter would have it. */
export function readRecord(text: string): Any {
  const lines = text.split('\n');
  expect(lines.filter((line) => !/^(?:$|[ -])/.test(line))).toEqual([]);
  expect(lines.filter((line) => line.startsWith('- invocation:'))).toHaveLength(1);
  const [record, ...others] = parse(text, { version: '1.1', strict: true, uniqueKeys: true }) as Any[];
  expect(others).toEqual([]);
  return record;
}

/** Runs the wrapper to its end, and reads the record that it wrote to standard output. */
export async function kickstart(args: readonly string[], options: WrapOptions): Promise<Wrapped> {
  const end = await wrap(args, options);
  return { ...end, record: readRecord(end.stdout) };
}

/** Names of temporary files of the wrapper that lie in a directory. */
export const leftIn = (directory: string): string[] =>
  readdirSync(directory).filter((name) => name.startsWith('ks.'));
