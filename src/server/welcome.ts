/** What GraphiQL opens on: the first steps, each an operation to play. */
export const WELCOME_QUERY = `# AlignSAE. Press the play button and choose an operation; each takes an id that one before it gave.
# Ctrl+Space completes what you write, and the book at the left has everything with its meaning.

# 1. What is there already?
query Runs {
  runs(first: 10) {
    totalCount
    edges { node { id kind name status phase progress mainMetric { name value step } model { id name } } }
  }
}

# 2. On an empty server: people and questions about them, in a second.
mutation MakeData {
  generateDataset(input: { people: 50 }) {
    ... on GenerateDatasetSuccess { dataset { id name } }
    ... on Error { message }
  }
}

# 3. A language model that learns the answers. Put the dataset's id below, as {"datasetId": "…"}.
mutation TrainModel($datasetId: ID!) {
  startModelRun(input: { datasetId: $datasetId }) {
    ... on StartRunSuccess { run { id status } }
    ... on Error { message }
  }
}

# 4. An SAE with a slot for each concept. {"modelId": "…"} of a run that has succeeded.
mutation Align($modelId: ID!) {
  startAlignmentRun(input: { modelId: $modelId }) {
    ... on StartRunSuccess { run { id status } }
    ... on Error { message }
  }
}

# 5. All runs, live.
subscription Follow {
  runsChanged { run { id kind status phase progress mainMetric { name value step } } }
}
`;
