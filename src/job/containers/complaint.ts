import { safeText } from '../../safe-text.ts';

const COMPLAINT = /^(?:Error|ERROR|FATAL|docker:)/;

/** The line of an engine's output that says what is wrong, among warnings before and explanations behind it. */
export function complaint(text: string): string {
  const lines = text.trim().split('\n');
  return safeText(lines.findLast((line) => COMPLAINT.test(line)) ?? lines.at(-1) ?? '');
}
