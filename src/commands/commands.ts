import type { Io } from './io.ts';

/** Resolves with the exit status. */
export type Command = (args: readonly string[], io: Io) => Promise<number>;

export interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** Every command, in the order in which the help names them. Each is loaded only when it is called. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  transfer: {
    summary: 'do what a transfer list says',
    load: async () => (await import('./transfer.ts')).transfer,
  },
};
