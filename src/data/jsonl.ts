/** The JSONL dataset format of docs/datasets.md: what one line may say, and a reader of whole files. */
import { z } from 'zod';
import { sameAnswer } from './answers.ts';
import type { ConceptDefinition, DatasetItem, ImportStream, OntologyDefinition } from './items.ts';
import { check, parseJson } from './jsonFile.ts';
import { type Bytes, type Line, READ_LIMITS, type ReadLimits, readLines } from './lines.ts';
import { Problems } from './problems.ts';
import { conceptKey, description, longText, shortText, slug, split } from './text.ts';

/** Answers that one prompt or fact may accept. */
const MAX_ACCEPTED = 100;

const ontologyLine = z
  .object({ type: z.literal('ontology'), slug, name: shortText.optional(), description })
  .strict();

const conceptLine = z
  .object({
    type: z.literal('concept'),
    key: conceptKey,
    label: shortText.optional(),
    description,
  })
  .strict();

/** A text, or a list of them: whatever is accepted, the usual one first. */
const accepted = z.unknown().transform((given, ctx): string[] => {
  const refuse = (path: number[], message: string) => ctx.addIssue({ code: 'custom', path, message });
  const values = Array.isArray(given) ? given : [given];
  if (values.length < 1 || values.length > MAX_ACCEPTED)
    refuse([], `must be a text or a list of 1 to ${MAX_ACCEPTED} texts, got ${values.length}`);
  const read: string[] = [];
  for (const [i, value] of values.slice(0, MAX_ACCEPTED).entries()) {
    const { data, error } = shortText.safeParse(value);
    const twin = read.find((other) => data !== undefined && sameAnswer(other, data));
    const path = Array.isArray(given) ? [i] : [];
    if (data === undefined) refuse(path, error!.issues[0]!.message);
    else if (twin !== undefined) refuse(path, `says the same as "${twin}"; list each answer once`);
    else read.push(data);
  }
  return read;
});

const factLine = z
  .object({ type: z.literal('fact'), entity: shortText, concept: conceptKey, value: accepted })
  .strict();

const promptLine = z
  .object({
    type: z.literal('prompt'),
    prompt: longText,
    answer: accepted.optional(),
    entity: shortText.optional(),
    concept: conceptKey.optional(),
    concepts: z.array(conceptKey).min(1).max(2).optional(),
    template: shortText.optional(),
    split,
  })
  .strict()
  .refine((line) => (line.concept === undefined) !== (line.concepts === undefined), {
    path: ['concept'],
    message: 'must be given, or concepts (one a hop, at most 2), but not both',
  });

const textLine = z
  .object({ type: z.literal('text'), text: longText, entity: shortText, split: split.default('TRAIN') })
  .strict();

const anyLine = z.discriminatedUnion('type', [ontologyLine, conceptLine, factLine, promptLine, textLine], {
  error: 'must be ontology, concept, fact, prompt or text',
});
/** Keys that a message names before it counts the rest. */
const MAX_LISTED = 20;

type AnyLine = z.output<typeof anyLine>;
type HeaderLine = Extract<AnyLine, { type: 'ontology' | 'concept' }>;
type ContentLine = Exclude<AnyLine, HeaderLine>;
type NumberedLine = { number: number; line: AnyLine };

/**
 * Reads a JSONL file up to its first fact, prompt or text; the rest follows as `items` are asked for.
 * @param known the ontology the file is about; without it the file itself must begin with one.
 * @throws AppError INVALID_INPUT listing bad lines with their numbers, here or from `items`, at the latest when
 * they end: until then nothing may be kept.
 */
export async function openJsonl(
  bytes: Bytes,
  known: OntologyDefinition | null,
  limits: ReadLimits = READ_LIMITS,
): Promise<ImportStream> {
  const problems = new Problems('line');
  const lines = parseLines(readLines(bytes, limits), problems);
  const header: { number: number; line: HeaderLine }[] = [];
  let next = await lines.next();
  while (!next.done && isHeader(next.value.line)) {
    header.push({ number: next.value.number, line: next.value.line });
    next = await lines.next();
  }
  const ontology = readHeader(header, known, problems);
  if (next.done) problems.add(header.length + 1, 'the file has no fact, prompt or text');
  if (!ontology.concepts.length) problems.throwIfAny();
  return { ontology, items: readItems(next, lines, ontology, problems) };
}

const isHeader = (line: AnyLine): line is HeaderLine => line.type === 'ontology' || line.type === 'concept';

async function* parseLines(lines: AsyncIterable<Line>, problems: Problems): AsyncGenerator<NumberedLine> {
  for await (const { number, text, problem } of lines) {
    if (problem) problems.add(number, problem);
    if (problem || !text.trim()) continue;
    const line = parseLine(text, (reason) => problems.add(number, reason));
    if (line) yield { number, line };
  }
}

function parseLine(text: string, refuse: (reason: string) => void): AnyLine | null {
  return check(anyLine, parseJson(text), refuse);
}

/** The ontology that the first lines describe, checked against the known one if there is any. */
function readHeader(
  header: readonly { number: number; line: HeaderLine }[],
  known: OntologyDefinition | null,
  problems: Problems,
): OntologyDefinition {
  const ontologies = header.filter(({ line }) => line.type === 'ontology');
  for (const { number } of ontologies.slice(1)) problems.add(number, 'there is an ontology line already');
  const concepts = new Map<string, ConceptDefinition>();
  for (const { number, line } of header) {
    if (line.type !== 'concept') continue;
    const { type: _, label, ...rest } = line;
    if (concepts.has(line.key)) problems.add(number, `concept ${line.key} is defined already`);
    concepts.set(line.key, { label: label ?? line.key.replaceAll('_', ' '), ...rest });
  }
  if (known) {
    for (const { number, line } of header) checkKnown(number, line, known, problems);
    return known;
  }
  const first = ontologies[0]?.line as Extract<HeaderLine, { type: 'ontology' }> | undefined;
  if (!first) problems.add(1, 'an ontology line is needed first, or an ontology to import into');
  if (!concepts.size)
    problems.add((header.at(-1)?.number ?? 0) + 1, 'a concept line is needed before any other');
  return {
    slug: first?.slug ?? '',
    name: first?.name ?? first?.slug ?? '',
    description: first?.description ?? '',
    concepts: [...concepts.values()],
  };
}

function checkKnown(number: number, line: HeaderLine, known: OntologyDefinition, problems: Problems): void {
  if (line.type === 'ontology' && line.slug !== known.slug) {
    problems.add(number, `it is about ontology ${line.slug}, the import is into ${known.slug}`);
  }
  if (line.type === 'concept' && !known.concepts.some((concept) => concept.key === line.key)) {
    problems.add(number, unknownConcept(line.key, known));
  }
}

async function* readItems(
  first: IteratorResult<NumberedLine>,
  rest: AsyncGenerator<NumberedLine>,
  ontology: OntologyDefinition,
  problems: Problems,
): AsyncGenerator<DatasetItem> {
  const keys = new Set(ontology.concepts.map((concept) => concept.key));
  const stated = new Map<string, number>();
  for (let next = first; !next.done; next = await rest.next()) {
    const { number, line } = next.value;
    if (isHeader(line)) {
      problems.add(number, `${line.type} lines must come before all others`);
      continue;
    }
    const missing = conceptsOf(line).find((key) => !keys.has(key));
    const reason = missing === undefined ? noteFact(line, number, stated) : unknownConcept(missing, ontology);
    if (reason) problems.add(number, reason);
    else yield* toItems(line, number);
  }
  problems.throwIfAny();
}

/** A fact with several values is several facts. */
function toItems(line: ContentLine, number: number): DatasetItem[] {
  if (line.type === 'text') return [line];
  if (line.type === 'fact') return line.value.map((value) => ({ ...line, value }));
  const {
    concept,
    concepts = [concept!],
    template,
    answer: accepted = [],
    entity = line.prompt,
    ...rest
  } = line;
  const [answer = null, ...others] = accepted;
  const answers = { answer, ...(others.length > 0 && { otherAnswers: others }) };
  const said = { ...rest, ...answers, entity, concepts, template: template ?? concepts.join('/') };
  return [{ ...said, line: number }];
}

function conceptsOf(line: ContentLine): readonly string[] {
  if (line.type === 'prompt') return line.concepts ?? [line.concept!];
  return line.type === 'fact' ? [line.concept] : [];
}

/** Notes which line states a fact; says when another did before. */
function noteFact(line: ContentLine, number: number, stated: Map<string, number>): string | null {
  if (line.type !== 'fact') return null;
  const key = JSON.stringify([line.entity, line.concept]);
  const before = stated.get(key);
  if (before !== undefined) return `line ${before} states the ${line.concept} of ${line.entity} already`;
  stated.set(key, number);
  return null;
}

function unknownConcept(key: string, { slug: name, concepts }: OntologyDefinition): string {
  const keys = concepts.slice(0, MAX_LISTED).map((concept) => concept.key);
  const rest = concepts.length > MAX_LISTED ? ` and ${concepts.length - MAX_LISTED} more` : '';
  return `concept ${key} is not in ontology ${name}, which has ${keys.join(', ')}${rest}`;
}
