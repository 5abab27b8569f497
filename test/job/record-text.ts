/** Parts of invocation records as wrappers write them, for tests that read such records. */

export interface RecordParts {
  /** Job → the status that wait(2) gave. */
  readonly raw?: Readonly<Record<string, number>>;
  /** Lines below `files:`, without their indentation of four. */
  readonly files?: string;
  /** What the job printed. */
  readonly printed?: string;
  /** Lines below `procs:` of each job. */
  readonly traced?: string;
}

/** A record in YAML as pegasus-kickstart writes it, shortened. */
export function yamlRecord({
  raw = { mainjob: 0 },
  files = '',
  printed = '',
  traced = '',
}: RecordParts): string {
  const jobs = Object.entries(raw).map(
    ([job, status]) =>
      `  ${job}:\n    start: 2026-11-22T10:02:07.445+00:00\n    duration: 0.391\n    pid: 4101\n` +
      `    status:\n      raw: ${status}\n      regular_exitcode: ${status >> 8}\n    argument_vector:\n      - "in.dat"\n    procs:\n${traced}`,
  );
  return `- invocation: True
  version: 3.0
  start: 2026-11-22T10:02:07.437+00:00
  duration: 0.412
${jobs.join('')}  jobids:
  cwd: /srv/job
  files:
${files.replace(/^(?=.)/gm, '    ')}    stdout:
      temporary_name: /tmp/ks.out.P2WAYp
      descriptor: 3
      data_truncated: false
      data: |
        ${printed.replaceAll('\n', '\n        ')}
`;
}

/** An output as the wrapper records it. */
export function outputEntry(lfn: string, sha256: string, more = ''): string {
  return `${lfn}:\n  lfn: "${lfn}"\n  file_name: /srv/job/${lfn}\n  size: 8\n  ctime: 2026-11-22T10:02:07+00:00\n  user: ana\n  output: True\n  sha256: ${sha256}\n  checksum_timing: 0.00\n${more}`;
}
