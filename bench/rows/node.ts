import type { Contender } from '../row.ts';

/** What no program on node can be quicker than. */
export const NODE: Contender = { name: 'node -e 0', words: [process.execPath, '-e', '0'] };
