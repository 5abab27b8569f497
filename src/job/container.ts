/** What is started for a command line, and with which arguments: the first word is the program. */
export type CommandLine = readonly [program: string, ...args: string[]];

/** Puts a command line into what it shall run in. */
export type Wrap = (command: CommandLine) => CommandLine;

/** Runs a job as it is, in no container. */
export const asItIs: Wrap = (command) => command;
