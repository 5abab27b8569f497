/** An XML element, its names resolved. */
export interface Element {
  /** Namespace and local name with a space between: prefixes are each server's own choice. */
  readonly name: string;
  readonly children: readonly Element[];
  /** Of the element itself, entities decoded. */
  readonly text: string;
}

type Prefixes = Readonly<Record<string, string>>;

/** The root of what fast-xml-parser makes with `preserveOrder`; undefined when there is none. */
export function elementOf(nodes: unknown): Element | undefined {
  return elementsOf(nodes, {})[0];
}

function elementsOf(nodes: unknown, prefixes: Prefixes): Element[] {
  return listOf(nodes).flatMap((node) => {
    const tag = Object.keys(node).find(
      (key) => !key.startsWith('#') && !key.startsWith(':') && !key.startsWith('?'),
    );
    if (tag === undefined) return [];
    const scope = declared(node[':@'], prefixes);
    const content = listOf(node[tag]);
    return [
      {
        name: resolved(tag, scope),
        children: elementsOf(content, scope),
        text: content.map(ownText).join(''),
      },
    ];
  });
}

function listOf(nodes: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(nodes) ? nodes : [];
}

function declared(attributes: unknown, prefixes: Prefixes): Prefixes {
  if (typeof attributes !== 'object' || attributes === null) return prefixes;
  const scope: Record<string, string> = { ...prefixes };
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'xmlns') scope[''] = String(value);
    else if (name.startsWith('xmlns:')) scope[name.slice('xmlns:'.length)] = String(value);
  }
  return scope;
}

function resolved(tag: string, scope: Prefixes): string {
  const colon = tag.indexOf(':');
  const prefix = colon < 0 ? '' : tag.slice(0, colon);
  const namespace = Object.hasOwn(scope, prefix) ? scope[prefix] : '';
  return `${namespace} ${tag.slice(colon + 1)}`;
}

function ownText(node: Readonly<Record<string, unknown>>): string {
  if (typeof node['#text'] === 'string') return unescapeXml(node['#text']);
  // Nothing is decoded inside CDATA.
  return listOf(node['#cdata'])
    .map((part) => String(part['#text'] ?? ''))
    .join('');
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return NAMED[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0x10ffff ? whole : String.fromCodePoint(code);
  });
}

export function children(element: Element, name: string): readonly Element[] {
  return element.children.filter((each) => each.name === name);
}

export function child(element: Element, name: string): Element | undefined {
  return element.children.find((each) => each.name === name);
}
