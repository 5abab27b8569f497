import { systemClock } from '../clock.ts';
import { TransferError } from '../errors.ts';
import { safeText } from '../report/format.ts';
import { type Verdict, verifyBatches } from '../verify.ts';
import { EXIT } from './failures.ts';
import type { Io } from './io.ts';
import type { Values } from './option.ts';
import { VERIFY_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { openSession } from './session.ts';
import { statusOf, watchSignals } from './signals.ts';
import { readTrusted } from './trusted-files.ts';
import { createTally, verdictJson, verdictLine } from './verdicts.ts';
import { type Finding, readDemands } from './verify-demands.ts';
import { listExtra } from './verify-extra.ts';
import { likelyRoot } from './verify-hint.ts';

/** `bridle verify MANIFEST...` or `ALG:HEX PLACE`: what must be, against what is. */
export async function verify(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, VERIFY_OPTIONS, { env: io.env });
  if (positionals.length === 0 && values.receipts === undefined) {
    throw new TransferError('invalid-request', 'expected a manifest, or ALG:HEX and a file; got nothing', {
      hint: 'such as `bridle verify SHA256SUMS`, or `bridle verify sha256:9f86… data.bin`',
    });
  }
  const trusted = readTrusted(values.trustUnchanged, values);
  const endpoints = openSession(values, {
    env: io.env,
    connections: values.threads,
    warn: (_, message) => io.err(`warning: ${message}\n`),
  });
  const watch = watchSignals();
  const visit = { endpoints, signal: watch.signal };
  const tally = createTally();
  const tell = teller(values, io);
  let missing: string | undefined;
  const note = (verdict: Verdict | Finding) => {
    tally.count(verdict.status);
    if (verdict.status === 'missing') missing ??= verdict.name;
    if (verdict.status === 'proven' && verdict.reused !== undefined) tally.countReused();
    tell.verdict(verdict);
  };
  try {
    const demands = await readDemands(positionals, values, { ...visit, tell: note });
    for await (const verdicts of verifyBatches(demands.tasks(), {
      open: endpoints.open,
      clock: systemClock,
      random: Math.random,
      signal: watch.signal,
      threads: values.threads,
      read: values.read,
      fresh: values.read,
      trusted,
    })) {
      if (watch.received() !== undefined) break;
      verdicts.forEach(note);
    }
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    for await (const extra of listExtra(demands, values.extra, visit)) note(extra);
    tell.end();
    if (!values.quiet) io.err(`${tally.summary()}\n`);
    const root =
      missing === undefined || tally.hasProven() ? undefined : likelyRoot(missing, demands.elsewhere);
    if (root !== undefined)
      io.err(`hint: the names may be meant from another directory: --root ${safeText(root)}\n`);
    return tally.isGood() ? EXIT.done : EXIT.failed;
  } catch (error) {
    tell.end();
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    throw error;
  } finally {
    watch.stop();
    await endpoints.close();
  }
}

/** Lines are collected: a call for each of a million would cost more than they do. */
function teller(values: Pick<Values<typeof VERIFY_OPTIONS>, 'json' | 'verbose'>, io: Io) {
  let pending = '';
  const end = () => {
    if (pending !== '') io.out(pending);
    pending = '';
  };
  return {
    end,
    verdict(verdict: Verdict | Finding) {
      if (values.json) pending += `${JSON.stringify(verdictJson(verdict))}\n`;
      else if (verdict.status !== 'proven' || values.verbose)
        pending += `${safeText(verdictLine(verdict))}\n`;
      // What is wrong is told at once.
      if (pending.length >= 64 * 1024 || verdict.status !== 'proven') end();
    },
  };
}
