import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { problemOfSummary } from '../../src/job/reading/cluster-summary.ts';
import { readJobOutput } from '../../src/job/reading/output.ts';
import { outputEntry, yamlRecord } from './record-text.ts';

const SEED = Number(process.env.SEED ?? 20260101);
const DIGEST = 'b4202d6eb7c452d979e21821b0a256211d4253b12dd6c429bb9f2c88fd5461d2';

const statusesOf = async (text: string) =>
  (await readJobOutput(text)).invocations.map(({ statuses }) => statuses.map(({ raw }) => raw));

describe('the records in the output of a job', () => {
  test('are found among other lines, each with the statuses of its jobs in their order', async () => {
    const text = `a line of the batch system\n${yamlRecord({ raw: { prejob: 0, mainjob: 256, cleanup: 0 } })}
---------------pegasus-multipart
- integrity_summary:
    succeeded: 2
${yamlRecord({})}`;
    expect(await statusesOf(text)).toEqual([[0, 256, 0], [0]]);
  });

  test('S13 are not what a job printed: its output is inside the record of its wrapper', async () => {
    const printed = `raw: 7\n${yamlRecord({ raw: { mainjob: 9 } })}\n[cluster-summary stat="failed"]\nintegrity_error: x`;
    const { invocations, summary } = await readJobOutput(yamlRecord({ printed }));
    expect(invocations).toHaveLength(1);
    expect(invocations[0]?.statuses).toEqual([{ job: 'mainjob', raw: 0 }]);
    expect(invocations[0]?.isMissingDigest).toBe(false);
    expect(summary).toBeUndefined();
  });

  test('S13 whatever a job prints changes nothing of its record', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom(
        '\n',
        '- invocation: True',
        '  mainjob:',
        'raw: 7',
        '"',
        '{',
        '&a ',
        '*a',
        '---\n',
        '\n...\n',
        '%',
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        // What the writer keeps of it: characters that YAML can print, each line indented.
        const printed = pieces
          .join('')
          .replace(/[^\x20-\x7e\n]/g, '')
          .trimStart();
        expect(await statusesOf(yamlRecord({ printed }))).toEqual([[0]]);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  test('tell the outputs, as text: a digest that looks like a number is one all the same', async () => {
    const [number, power] = ['1'.repeat(64), `1e${'0'.repeat(62)}`];
    const files =
      outputEntry('a', number) + outputEntry('b', power) + outputEntry('in', DIGEST).replace('True', 'False');
    const { invocations } = await readJobOutput(yamlRecord({ files }));
    expect(invocations[0]?.outputs.map(({ lfn, attributes }) => [lfn, attributes.get('sha256')])).toEqual([
      ['a', number],
      ['b', power],
    ]);
  });

  test('name an output by its name in the workflow, whatever key it has: one that is named like a stream', async () => {
    const files = outputEntry('stdout', DIGEST).replace('stdout:', './stdout:');
    const { invocations } = await readJobOutput(yamlRecord({ files }));
    expect(invocations[0]?.outputs.map(({ lfn }) => lfn)).toEqual(['stdout']);
  });

  test('may name a file twice: the last entry counts', async () => {
    const files =
      outputEntry('a', '0'.repeat(64)) + outputEntry('"a"', DIGEST).replace('lfn: ""a""', 'lfn: "a"');
    const { invocations } = await readJobOutput(yamlRecord({ files }));
    expect(invocations[0]?.outputs.map(({ attributes }) => attributes.get('sha256'))).toEqual([DIGEST]);
  });

  test('tell of a digest that could not be made', async () => {
    const files = outputEntry('a', DIGEST).replace(
      /sha256: .*/,
      'integrity_error: failed creating a checksum',
    );
    const { invocations } = await readJobOutput(yamlRecord({ files }));
    expect(invocations[0]?.isMissingDigest).toBe(true);
  });

  test('may hold the traces of the original, which are not YAML', async () => {
    const traced = '      7352:\n        ppid: 1\n<file name="a" bread="1"/>\n'.replace('<', '        <');
    expect(await statusesOf(yamlRecord({ traced }))).toEqual([[0]]);
  });

  test('in XML are read, too', async () => {
    const xml = `<?xml version="1.0" encoding="UTF-8"?>
<invocation version="2.1" start="2014-01-01T00:00:00.000-08:00">
  <prejob><status raw="0"><regular exitcode="0"/></status></prejob>
  <mainjob><status raw="256"><regular exitcode="1"/></status></mainjob>
  <statcall id="stdout"><data>&lt;status raw="0"&gt;</data></statcall>
</invocation>
`;
    expect(await statusesOf(`before\n${xml}after\n${yamlRecord({})}`)).toEqual([[0, 256], [0]]);
  });

  test.each([
    ['cut off before its status', yamlRecord({}).split('    status:')[0] ?? '', /line 1: mainjob: no status/],
    ['with a status that is no number', yamlRecord({}).replace('raw: 0', 'raw: none'), /got `none`/],
    ['that is not YAML', '- invocation: True\n  files: "unclosed\n', /line 1: /],
    ['that is no map', '- invocation: [1\n', /line 1: /],
    ['in XML that is cut off', '<invocation version="2.1">\n<mainjob>', /no `<\/invocation>`/],
  ])('%s: the line is named', async (_, text, message) => {
    await expect(readJobOutput(text)).rejects.toThrow(message);
  });
});

describe('the summary of a cluster', () => {
  test.each([
    ['[cluster-summary stat="ok", lines=3, tasks=3, succeeded=3, failed=0, duration=1.5]', undefined],
    ['[seqexec-summary stat="ok", lines=3, submitted=3, succeeded=3, failed=0]', undefined],
    ['[cluster-summary stat="ok", tasks=0, succeeded=0, failed=0]', undefined],
    ['[cluster-summary stat="ok", submitted=0, succeeded=0, failed=0]', undefined],
    ['[cluster-summary stat="fail", tasks=3, succeeded=3, failed=0]', 'cluster-summary stat=fail'],
    ['[cluster-summary stat="ok", tasks=3, succeeded=2, failed=1]', 'cluster-summary failed=1'],
    ['[cluster-summary stat="ok", tasks=3, succeeded=0, failed=0]', 'cluster-summary succeeded=0'],
  ])('%s', (line, problem) => {
    expect(problemOfSummary(line)).toBe(problem);
  });

  test('must be whole, with numbers where they belong', () => {
    expect(() => problemOfSummary('[cluster-summary stat="ok", tas')).toThrow('invalid cluster-summary');
    expect(() => problemOfSummary('[cluster-summary failed=many]')).toThrow('failed: expected a number');
  });
});
