import { join } from 'node:path';
import { test, expect } from 'vitest';
import { misbehaving, runAll, scratch, transferOf, digestAt, leftBehind, openDescriptors, expectNoNewDescriptors } from './scene.ts';
import type { ScriptName } from '../../fixtures/misbehaving/server.ts';
for (const size of [1_000_000, 20 * 1024 * 1024]) for (const script of ['F1','F2','F3','F4','F6','F7','F7-total','F7-length','F8','F8-ignores-if-range','F9','F9-none','F10','F10-wrong','F11','F11-date','F11-absurd','F11-garbage','F12','F12-told','F14','F15','F16','F16-endless','F17','F18','F19','F20','F20-other','F20-mislabelled','F24','F24-long','F25','F25-black-hole','F25-dns','F26','F27','F29','F29-ok'] as ScriptName[]) for (const times of [undefined, 1]) {
  test(`${script} ${size} ${times}`, async () => {
    const before = openDescriptors();
    const d = scratch();
    const steps: any[] = [{ script, ...(times === undefined ? {} : { times }) }];
    if (/^F(6|7|10)/.test(script)) steps.push({ script: 'F1', times: 1 });
    const s = await misbehaving({ steps, content: { size } });
    const dst = join(d, 'x');
    const t0 = performance.now();
    const e = await runAll([transferOf(s.url, dst)], { http: { timeouts: { connect: 1, firstByte: 1, stall: 0.3 } , verifyTls: false}});
    const o = e.outcome;
    const left = leftBehind(d);
    console.log(script, size, times, o.status, o.failure?.code, o.failure?.message, 'resumed', o.resumedFrom, 'attempts', o.attempts.map(a => a.failure?.code ?? 'ok').join(), 'req', s.requests.map(r=>r.method+(r.headers.range??'')).join(' '), 'sent', s.bytesSent(), 'grade', o.sourceVerification.grade, o.destinationVerification.grade, 'waited', e.waited, 'left', left.length, 'ms', Math.round(performance.now()-t0), digestAt(dst) === s.content().digest('sha256'), o.notes.join('|'), e.events.filter(x=>x.type==='continued').length);
    await expectNoNewDescriptors([...before]).catch(() => console.log('FDLEAK', openDescriptors().filter(x=>!before.includes(x))));
  });
}
