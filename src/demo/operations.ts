/** The operations of the demo; each is one that any client may send. */

export const ENGINE = /* GraphQL */ `
  query Engine { engine { backend tensorflowVersion fallbackReason devices { name kind } } }
`;

const NEW_DATASET = /* GraphQL */ `
  fragment NewDataset on Dataset {
    id
    name
    answerEnd
    ontology { slug version concepts { id key label } }
    splits { name size }
    examples(first: 2, split: TRAIN) { edges { node { prompt answer } } }
  }
`;

export const GENERATE_DATASET = /* GraphQL */ `
  mutation GenerateDataset($input: GenerateDatasetInput!) {
    generateDataset(input: $input) {
      __typename
      ... on GenerateDatasetSuccess { dataset { ...NewDataset } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
  ${NEW_DATASET}
`;

export const GENERATE_WORLD_DATASET = /* GraphQL */ `
  mutation GenerateWorldDataset($input: GenerateWorldDatasetInput!) {
    generateWorldDataset(input: $input) {
      __typename
      ... on GenerateWorldDatasetSuccess { dataset { ...NewDataset } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
  ${NEW_DATASET}
`;

export const IMPORT_MODEL = /* GraphQL */ `
  mutation ImportModel($input: ImportModelInput!) {
    importModel(input: $input) {
      __typename
      ... on ImportModelSuccess { model { id nParams architecture config { nLayers dModel } } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

export const START_MODEL_RUN = /* GraphQL */ `
  mutation StartModelRun($input: StartModelRunInput!) {
    startModelRun(input: $input) {
      __typename
      ... on StartRunSuccess { run { id } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

export const START_ALIGNMENT_RUN = /* GraphQL */ `
  mutation StartAlignmentRun($input: StartAlignmentRunInput!) {
    startAlignmentRun(input: $input) {
      __typename
      ... on StartRunSuccess { run { id } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

export const RUN_EVENTS = /* GraphQL */ `
  subscription RunEvents($id: ID!, $after: String) {
    runEvents(id: $id, after: $after) {
      cursor
      event {
        __typename
        ... on RunStatusChanged { status phase progress etaSeconds }
        ... on MetricsLogged { step metrics { name value } }
        ... on RunLogged { level message }
      }
    }
  }
`;

export const MODEL_RUN = /* GraphQL */ `
  query ModelRun($id: ID!) {
    run(id: $id) {
      status
      error { code message }
      ... on ModelRun {
        model {
          id
          nParams
          train: accuracy(split: TRAIN)
          validation: accuracy(split: VALIDATION)
          testOod: accuracy(split: TEST_OOD)
        }
      }
    }
  }
`;

export const ALIGNMENT_RUN = /* GraphQL */ `
  query AlignmentRun($id: ID!) {
    run(id: $id) {
      id
      status
      error { code message }
      ... on AlignmentRun {
        layer
        chosenAlpha
        binding(split: TEST_OOD) { accuracy diagonalAccuracy concepts { key } matrix }
        reconstruction(split: TEST_OOD) { fvu l0 }
        swaps { control population split alpha trials successes successRate leftOut chosen }
      }
    }
  }
`;

export const EXAMPLES = /* GraphQL */ `
  query Examples($id: ID!, $conceptId: ID!, $first: Int!) {
    node(id: $id) {
      ... on Dataset {
        examples(first: $first, split: TEST_OOD, conceptId: $conceptId) {
          edges { node { id } }
        }
      }
    }
  }
`;

export const SWAP_CONCEPT = /* GraphQL */ `
  mutation SwapConcept($input: SwapConceptInput!) {
    swapConcept(input: $input) {
      __typename
      ... on SwapConceptSuccess {
        intervention {
          prompt
          alpha
          success
          known
          expectedAnswer
          sourceConcept { label }
          targetConcept { label }
          baseline { text }
          result { text }
        }
      }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;
