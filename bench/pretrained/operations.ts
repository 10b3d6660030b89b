/** What the comparison asks of the API. */
import { ofRun, RATE } from '../results/operations.ts';

const imports = (mutation: string, noun: string) => {
  const type = `${mutation[0]!.toUpperCase()}${mutation.slice(1)}`;
  return /* GraphQL */ `
    mutation ($input: ${type}Input!) {
      ${mutation}(input: $input) {
        __typename
        ... on ${type}Success { ${noun} { id } }
        ... on Error { message }
        ... on InputError { path }
      }
    }
  `;
};

export const IMPORT_MODEL = imports('importModel', 'model');
export const IMPORT_CORPUS = imports('importCorpus', 'corpus');
export const IMPORT_SAE = imports('importSae', 'sae');

export const BASELINE = ofRun(
  'BaselineRun',
  `
  sae { saeLens { cfgUrl weightsUrl } }
`,
);

export const ALIGNMENT = ofRun(
  'AlignmentRun',
  `
  chosenAlpha
  known: binding(split: TRAIN) { examples accuracy }
  heldOut: binding(split: TEST_OOD) { examples accuracy }
  reconstruction(split: TEST_OOD) { fvu l0 deadLatents }
  swaps(chosen: true) { control population split trials successes }
  faithfulness(split: TEST_OOD) { replacement accuracy { ${RATE} } }
`,
);

const CELL = `alpha success { ${RATE} } otherPrompts { ${RATE} } texts { ${RATE} }`;

export const SWEEP = ofRun(
  'SwapSweepRun',
  `
  results { ${CELL} } controls { kind ${CELL} }
`,
);

export const PHASES = /* GraphQL */ `
  subscription Phases($id: ID!, $after: String) {
    runEvents(id: $id, after: $after) { cursor at event { __typename ... on RunStatusChanged { phase } } }
  }
`;
