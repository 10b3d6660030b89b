/** Every table of the product, a file a noun. */
export * from './alignment.ts';
export * from './apiKey.ts';
export * from './artifact.ts';
export * from './corpus.ts';
export * from './dataset.ts';
export * from './event.ts';
export * from './grokking.ts';
export * from './hopSwap.ts';
export * from './installation.ts';
export * from './intervention.ts';
export * from './latent.ts';
export * from './model.ts';
export * from './ontology.ts';
export * from './run.ts';
export * from './sae.ts';
export * from './swapSweep.ts';
export * from './worker.ts';
