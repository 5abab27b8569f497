/** One word for a POSIX shell that is `text`, whatever is in it (XCU §2.2.2: nothing but `'` ends what `'` begins). */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
