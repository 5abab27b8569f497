import { formatLocation } from '../location.ts';
import { safeText } from '../report/format.ts';
import { parseArgument } from './arguments.ts';
import { type Fact, machineFacts } from './doctor-machine.ts';
import { placeFacts } from './doctor-place.ts';
import { EXIT } from './failures.ts';
import type { Io } from './io.ts';
import { DOCTOR_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { forEachPlace } from './places.ts';
import { openCredentials } from './session.ts';

/**
 * `bridle doctor [PLACE...]`: what transfers find on this machine, or what the services behind the places can do. Exit
 * status 1 when something that was looked at will not work. No secret is shown.
 */
export async function doctor(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, DOCTOR_OPTIONS, { env: io.env });
  if (positionals.length === 0) {
    const facts = await machineFacts(values, io.env);
    tell('this machine', facts, values.json, io);
    return facts.some(({ isWrong }) => isWrong) ? EXIT.failed : EXIT.done;
  }
  const quiet = { env: io.env, warn: () => undefined };
  const credentials = await openCredentials(quiet, values.sshHostKey);
  const places = positionals.map((text) => parseArgument(text));
  return forEachPlace('doctor', places, values, io, async (place, visit) => {
    const source = () => credentials.describeSource(place.location, place.secret);
    const facts = await placeFacts(place, visit, source);
    tell(formatLocation(place.location), facts, values.json, io);
    return !facts.some(({ isWrong }) => isWrong);
  });
}

function tell(title: string, facts: readonly Fact[], json: boolean, io: Io): void {
  if (json) {
    io.out(`${JSON.stringify({ name: title, facts })}\n`);
    return;
  }
  io.out(`${safeText(title)}\n`);
  let before = '';
  for (const { label, text, isWrong, hint } of facts) {
    // What belongs together has its label once.
    const shown = (label === before ? '' : label).padEnd(11);
    before = label;
    const lines = wrapped(safeText(text));
    io.out(`${isWrong ? '! ' : '  '}${shown} ${lines.join(`\n${INDENT}`)}\n`);
    if (hint !== undefined) io.out(`${INDENT}${wrapped(safeText(`hint: ${hint}`)).join(`\n${INDENT}`)}\n`);
  }
}

/** Behind the mark and the label. */
const INDENT = ' '.repeat(14);
const COLUMNS = 80 - INDENT.length;

function wrapped(text: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= COLUMNS) lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
  }
  return lines;
}
