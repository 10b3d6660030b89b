/** What the demo's operations answer, for whoever sends them. */

export interface Concept {
  id: string;
  key: string;
  label: string;
}

export interface Dataset {
  id: string;
  name: string;
  /** What ends an answer besides the end token; null where nothing else does. */
  answerEnd: string | null;
  ontology: { slug: string; version: number; concepts: Concept[] };
  splits: { name: string; size: number }[];
  examples: { edges: { node: { prompt: string; answer: string } }[] };
}

/** A run that has been followed to its end. */
export interface Ended {
  status: string;
  error: { message: string } | null;
}

/** The answer of `SWAP_CONCEPT` when the swap was done. */
export interface SwapReply {
  __typename: 'SwapConceptSuccess';
  intervention: {
    prompt: string;
    alpha: number;
    success: boolean;
    known: boolean | null;
    expectedAnswer: string;
    sourceConcept: Concept;
    targetConcept: Concept;
    baseline: { text: string };
    result: { text: string };
  };
}

/** The run, if it ended well. @throws Error with the run's own words otherwise. */
export function finished<T extends Ended>(run: T): T {
  if (run.status !== 'SUCCEEDED') throw new Error(run.error?.message ?? `The run ended as ${run.status}.`);
  return run;
}
