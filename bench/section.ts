/** Sections of a document that several commands write, each its own. */

export function sectionOf(name: string, text: string): string {
  return `<!-- ${name} -->\n\n${text}\n\n<!-- end of ${name} -->`;
}

/** The section as it stands in a document, its marks included; empty where there is none. */
export function keptSection(document: string, name: string): string {
  return new RegExp(`<!-- ${name} -->[^]*<!-- end of ${name} -->`).exec(document)?.[0] ?? '';
}
