import { constants } from 'node:os';

/** Signals to a wrapper that are for the job that runs. */
export const PASSED_ON = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;

/** The exit status by which shells tell that a signal ended a process. */
export const signalStatus = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];
