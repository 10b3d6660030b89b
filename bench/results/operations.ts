/** What the report asks of the API. */

const start = (mutation: string) => {
  const type = `${mutation[0]!.toUpperCase()}${mutation.slice(1)}Input!`;
  return /* GraphQL */ `
    mutation ($input: ${type}) {
      ${mutation}(input: $input) {
        __typename
        ... on StartRunSuccess { run { id } }
        ... on Error { message }
        ... on InputError { path }
      }
    }
  `;
};

/** What is asked of a run of this type when it has ended; `more` is what runs of any type have. */
export const ofRun = (type: string, fields: string, more = '') => /* GraphQL */ `
  query Run($id: ID!) {
    run(id: $id) { status error { message } ${more} ... on ${type} { ${fields} } }
  }
`;

export const START_BASELINE_RUN = start('startBaselineRun');
export const START_SWAP_SWEEP = start('startSwapSweep');
export const START_ALIGNMENT_SWEEP = start('startAlignmentSweep');

export const RATE = 'trials successes value interval { low high }';

export const MODEL = ofRun(
  'ModelRun',
  `
  model { id train: accuracy(split: TRAIN) testOod: accuracy(split: TEST_OOD) }
`,
  'backend',
);

const CONCENTRATED = 'accuracy effFeat slotEffFeat top1Conc slotTop1Conc';

export const ALIGNMENT = ofRun(
  'AlignmentRun',
  `
  chosenAlpha
  binding(split: TEST_OOD) { examples diagonalAccuracy diagonalStrength slotMargin ${CONCENTRATED} }
  reconstruction(split: TEST_OOD) { fvu l0 deadLatents }
  swaps(chosen: true) {
    control population split trials successes loose { ${RATE} } categoryKept { ${RATE} }
  }
  knocks { edit concept { key } asked { change } others { concept { key } change } }
  conceptLatents { concept { key } fragmentation heldOutSeparability }
  faithfulness(split: TEST_OOD) { replacement accuracy { ${RATE} } crossEntropy }
`,
);

export const PEOPLE_ALIGNMENT = ofRun(
  'AlignmentRun',
  `
  chosenAlpha
  known: binding(split: TRAIN) { ${CONCENTRATED} }
  heldOut: binding(split: TEST_OOD) { ${CONCENTRATED} }
  swaps(chosen: true) { control population split trials successes }
`,
);

export const BASELINE = ofRun(
  'BaselineRun',
  `
  binding(split: TEST_OOD) { accuracy }
  reconstruction(split: TEST_OOD) { fvu l0 deadLatents }
  conceptLatents { concept { key } fragmentation heldOutSeparability }
`,
);

const CELL = `method alpha success { ${RATE} } otherPrompts { ${RATE} } texts { ${RATE} } statements { ${RATE} }`;

export const SWEEP = ofRun(
  'SwapSweepRun',
  `
  editsPerSecond
  linearProbe { accuracy { ${RATE} } binding { ${RATE} } }
  das { dimensions }
  results { ${CELL} }
  controls { kind ${CELL} }
`,
);

const PEOPLE_CELL = `method alpha success { ${RATE} } loose { ${RATE} } otherPrompts { ${RATE} } texts { ${RATE} }`;

export const PEOPLE_SWEEP = ofRun(
  'SwapSweepRun',
  `
  results { ${PEOPLE_CELL} }
  controls { kind ${PEOPLE_CELL} }
  linearProbe { accuracy { ${RATE} } binding { ${RATE} } }
  das { dimensions }
`,
);

export const LAYERS = ofRun(
  'AlignmentSweepRun',
  `
  bindingByLayer { layer seed rate { ${RATE} } }
  swapSuccessByLayer { layer seed alpha rate { ${RATE} } random { ${RATE} } }
  swapSuccessByAlpha { layer seed alpha rate { ${RATE} } }
`,
);

export const START_GROKKING_RUN = start('startGrokkingRun');
export const START_HOP_SWAP_RUN = start('startHopSwapRun');

export const GENERATE_TWO_HOP_DATASET = /* GraphQL */ `
  mutation ($input: GenerateTwoHopDatasetInput!) {
    generateTwoHopDataset(input: $input) {
      __typename
      ... on GenerateTwoHopDatasetSuccess { dataset { id } }
      ... on Error { message }
    }
  }
`;

export const IMPORT_DATASET = /* GraphQL */ `
  mutation ($input: ImportDatasetInput!) {
    importDataset(input: $input) {
      __typename
      ... on ImportDatasetSuccess { dataset { id } }
      ... on Error { message }
    }
  }
`;

export const GROKKING = ofRun(
  'GrokkingRun',
  `
  onset { memorization generalization binding }
  points {
    step trainAccuracy heldOutAccuracy oneHopAccuracy loss weightNorm logitMargin heldOut { ${RATE} }
    binding { hop top1 diagonalStrength ablationEffect }
    bindingByLast { hop diagonalStrength }
  }
`,
  'startedAt finishedAt',
);

const HOP_SWAP = `hop edited method alpha shown { ${RATE} } withheld { ${RATE} } isolation { ${RATE} }`;

export const HOP_SWAPS = ofRun(
  'HopSwapRun',
  `
  results { ${HOP_SWAP} }
  hops { hop ratio slots { ${HOP_SWAP} } unsupervised { ${HOP_SWAP} } }
`,
  'startedAt finishedAt',
);
