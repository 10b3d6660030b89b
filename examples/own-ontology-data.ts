/** The data of the example: two ontologies, written down as lines of the JSONL format of docs/datasets.md. */

/** A unit's name, what it measures, its symbol, and the system that it belongs to. */
const UNITS = [
  ['metre', 'length', 'm', 'SI'],
  ['second', 'time', 's', 'SI'],
  ['kilogram', 'mass', 'kg', 'SI'],
  ['ampere', 'current', 'A', 'SI'],
  ['kelvin', 'temperature', 'K', 'SI'],
  ['newton', 'force', 'N', 'SI'],
  ['joule', 'energy', 'J', 'SI'],
  ['watt', 'power', 'W', 'SI'],
  ['foot', 'length', 'ft', 'imperial'],
  ['pound', 'mass', 'lb', 'imperial'],
  ['gallon', 'volume', 'gal', 'imperial'],
  ['acre', 'area', 'ac', 'imperial'],
  ['dyne', 'force', 'dyn', 'CGS'],
  ['erg', 'energy', 'erg', 'CGS'],
  ['gauss', 'field', 'G', 'CGS'],
  ['poise', 'viscosity', 'P', 'CGS'],
] as const;

const UNIT_CONCEPTS = ['quantity', 'symbol', 'system'] as const;

/** What stands before `<concept> of the <unit>`: each question ends in the unit's name, where activations are read. */
const OPENINGS = {
  TRAIN: ['', 'what is the ', 'tell me the ', 'name the ', 'I ask for the '],
  VALIDATION: ['please name the '],
  TEST_OOD: ['give me the '],
};

/** Facts about units and questions about each, in several wordings. */
export function unitLines(): object[] {
  const concepts = UNIT_CONCEPTS.map((key) => ({ type: 'concept', key }));
  const facts = UNITS.flatMap(([entity, ...values]) =>
    UNIT_CONCEPTS.map((concept, i) => ({ type: 'fact', entity, concept, value: values[i] })),
  );
  const prompts = facts.flatMap(({ entity, concept, value: answer }) =>
    Object.entries(OPENINGS).flatMap(([split, openings]) =>
      openings.map((opening) => {
        const template = `${opening}${concept} of the`;
        return { type: 'prompt', prompt: `${template} ${entity}`, answer, entity, concept, template, split };
      }),
    ),
  );
  return [
    { type: 'ontology', slug: 'units', name: 'Units of measurement' },
    ...concepts,
    ...facts,
    ...prompts,
  ];
}

const MOODS = {
  positive: ['wonderful', 'great', 'lovely', 'superb', 'brilliant', 'charming'],
  negative: ['awful', 'terrible', 'boring', 'dreadful', 'bad', 'ugly'],
  neutral: ['long', 'red', 'new', 'local', 'second', 'wooden'],
};

const THINGS = {
  TRAIN: ['film', 'book', 'meal', 'song', 'house', 'trip', 'game', 'play'],
  VALIDATION: ['walk', 'talk'],
  TEST_OOD: ['table', 'show', 'room'],
};

/** Sentences with their mood and nothing else: no entity, no answer, no fact. */
export function sentimentLines(): object[] {
  const concepts = Object.keys(MOODS).map((key) => ({ type: 'concept', key }));
  const prompts = Object.entries(MOODS).flatMap(([concept, words]) =>
    Object.entries(THINGS).flatMap(([split, things]) =>
      things.flatMap((thing) =>
        words.map((word) => ({ type: 'prompt', prompt: `The ${thing} was ${word}`, concept, split })),
      ),
    ),
  );
  return [{ type: 'ontology', slug: 'moods', name: 'Moods of sentences' }, ...concepts, ...prompts];
}
