import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { type Invocation, JOBS } from './invocation.ts';
import { errorFor } from './unreadable.ts';

type Element = Readonly<Record<string, unknown>>;

/** Reads a record in XML, as versions before 5 wrote them, that begins in line `first`. Throws `invalid-request`. */
export function readXmlInvocation(xml: string, first: number): Invocation {
  const valid = XMLValidator.validate(xml);
  if (valid !== true) throw errorFor(first, valid.err.msg);
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    parseAttributeValue: false,
    parseTagValue: false,
    processEntities: false,
  });
  const root = element((parser.parse(xml) as Element).invocation);
  if (!root) throw errorFor(first, 'no `<invocation>`');
  const statuses = JOBS.flatMap((job) => {
    if (root[job] === undefined) return [];
    const raw = element(element(root[job])?.status)?.['@raw'];
    if (typeof raw !== 'string' || !/^-?\d{1,10}$/.test(raw)) {
      throw errorFor(first, `${job}: expected \`<status raw="NUMBER">\``);
    }
    return [{ job, raw: Number(raw) }];
  });
  // Such records tell no digests.
  return { statuses, outputs: [], isMissingDigest: false };
}

function element(value: unknown): Element | undefined {
  return typeof value === 'object' && value !== null ? (value as Element) : undefined;
}
