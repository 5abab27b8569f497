import { TransferError } from '../../errors.ts';
import { shellWord } from '../../shell-word.ts';

/** What an image's configuration says of running it (OCI image specification, `config.md`). */
export interface RunConfiguration {
  readonly environment: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Throws `invalid-request` for a configuration that is no JSON object, or whose fields are of other types. */
export function runConfiguration(bytes: Uint8Array): RunConfiguration {
  let whole: unknown;
  try {
    whole = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new TransferError('invalid-request', 'reading the configuration of the image: no JSON', {
      cause: error,
    });
  }
  const config = record(record(whole, 'it').config ?? {}, 'config');
  return {
    environment: strings(config, 'Env'),
    entrypoint: strings(config, 'Entrypoint'),
    command: strings(config, 'Cmd'),
    labels: Object.fromEntries(
      Object.entries(record(config.Labels ?? {}, 'config.Labels')).map(([key, value]) => [
        key,
        String(value),
      ]),
    ),
  };
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new TransferError(
    'invalid-request',
    `reading the configuration of the image: \`${name}\` is no object`,
  );
}

function strings(config: Record<string, unknown>, field: string): readonly string[] {
  const value = config[field] ?? [];
  const isList = Array.isArray(value) && value.every((one) => typeof one === 'string' && !one.includes('\0'));
  if (isList) return value;
  throw new TransferError(
    'invalid-request',
    `reading the configuration of the image: \`config.${field}\` is no list of strings`,
  );
}

/**
 * One word for a POSIX shell that is `text`. Not in `'`: the shell in apptainer 1.4.5 that reads an image's variables
 * makes `a\'b` of `'a'\''b'`.
 */
const quoted = (text: string): string => `"${text.replaceAll(/[\\$`"]/g, '\\$&')}"`;

/** A shell keeps no others. */
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Sets the image's variables, which those of the caller precede; only `PATH` is always the image's. */
export function environmentScript({ environment }: RunConfiguration): string {
  const lines = environment.flatMap((entry) => {
    const at = entry.indexOf('=');
    const name = at === -1 ? entry : entry.slice(0, at);
    if (!VARIABLE.test(name)) return [];
    const value = quoted(at === -1 ? '' : entry.slice(at + 1));
    if (name === 'PATH') return [`export PATH=${value}`];
    return [`if [ -z "\${${name}:-}" ]; then ${name}=${value}; fi`, `export ${name}`];
  });
  return `#!/bin/sh\n${lines.map((line) => `${line}\n`).join('')}`;
}

/** Runs entrypoint and command; arguments stand in the command's place. Without either: a shell. */
export function runScript({ entrypoint, command }: RunConfiguration): string {
  const words = (list: readonly string[]) => list.map(shellWord).join(' ');
  const lines = ['#!/bin/sh'];
  if (command.length > 0) lines.push(`if [ "$#" -eq 0 ]; then set -- ${words(command)}; fi`);
  if (entrypoint.length > 0) lines.push(`set -- ${words(entrypoint)} "$@"`);
  if (command.length + entrypoint.length === 0) lines.push('if [ "$#" -eq 0 ]; then set -- /bin/sh; fi');
  lines.push('exec "$@"');
  return `${lines.join('\n')}\n`;
}
