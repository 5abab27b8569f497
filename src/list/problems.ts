import { TransferError } from '../errors.ts';

/** Problems that a message lists; of the others it gives the number. */
const SHOWN = 10;

/** Collects what is wrong with a list, so that a user can mend all of it at once. */
export interface Problems {
  add(problem: TransferError): void;
  /** Throws one error for everything that was added, if anything was: the problem itself when it is the only one. */
  throwAny(): void;
}

/** Problems of the list called `name`. */
export function createProblems(name: string): Problems {
  const shown: TransferError[] = [];
  let count = 0;
  return {
    add(problem) {
      if (++count <= SHOWN) shown.push(problem);
    },
    throwAny() {
      const [first] = shown;
      if (first === undefined) return;
      if (count === 1) throw first;
      const lines = shown.map((problem) => `\n  ${problem.message}`).join('');
      const more = count > SHOWN ? `\nand ${count - SHOWN} more` : '';
      const hint = shown.find((problem) => problem.hint !== undefined)?.hint;
      const message = `reading ${name}: ${count} problems${lines}${more}`;
      throw new TransferError(first.code, message, hint === undefined ? {} : { hint });
    },
  };
}
