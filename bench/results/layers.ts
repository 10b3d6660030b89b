/** Where in a model concepts bind and swaps succeed: every layer of it, and of a deeper one. */
import type { ApiClient } from '../../src/demo/client.ts';
import { heading } from '../../src/demo/terminal.ts';
import { result } from './ask.ts';
import { markdown, type Rate, type Row, share, show } from './markdown.ts';
import * as operations from './operations.ts';
import { GATHERING, SEEDS, TRIAL, trainModel } from './study.ts';

export interface Layers {
  bindingByLayer: { layer: number; seed: number | null; rate: Rate }[];
  swapSuccessByLayer: {
    layer: number;
    seed: number | null;
    alpha: number;
    rate: Rate;
    random: Rate | null;
  }[];
  /** Every alpha where the sweep measured them all, else those chosen. */
  swapSuccessByAlpha: { layer: number; seed: number | null; alpha: number; rate: Rate }[];
}

/** Eight blocks, so that the best layer may be neither the first nor the last. */
const DEEP = { ...GATHERING, nLayers: 8, steps: 1500 };

/** Every layer of a model, from before the first block. */
export function studyLayers(api: ApiClient, modelId: string, trial: boolean): Promise<Layers> {
  heading('Layers');
  return sweepLayers(api, modelId, trial ? TRIAL.alignment : {});
}

/** Every layer of a deeper model, each at every alpha. */
export async function studyDepth(api: ApiClient, trial: boolean): Promise<Layers> {
  heading(`${DEEP.nLayers} blocks`);
  const model = await trainModel(api, SEEDS[0]!, { ...DEEP, ...(trial && TRIAL.model) });
  return sweepLayers(api, model.id, { everyAlpha: true, ...(trial && TRIAL.alignment) });
}

function sweepLayers(api: ApiClient, modelId: string, settings: object): Promise<Layers> {
  const input = { modelId, settings: { preset: 'COUNTERFACTUAL', ...settings } };
  return result<Layers>(api, operations.LAYERS, 'layers', operations.START_ALIGNMENT_SWEEP, input);
}

export function layerTable({ bindingByLayer, swapSuccessByLayer }: Layers): string {
  const rows = bindingByLayer
    .filter(({ seed }) => seed !== null)
    .map(({ layer, rate }): Row => {
      const swaps = swapSuccessByLayer.find((row) => row.layer === layer && row.seed !== null);
      return [
        layer,
        show(rate),
        swaps ? show(swaps.rate) : '–',
        swaps?.alpha ?? '–',
        share(swaps?.random?.value),
      ];
    });
  return markdown(['layer', 'binding, held-out', 'swaps, unseen', 'alpha', 'random latents'], ...rows);
}

/** Nothing where it was not measured. */
export function renderDepth(depth: Layers | null): string[] {
  if (!depth) return [];
  return [
    `The same of a model of ${DEEP.nLayers} blocks (${DEEP.steps.toLocaleString('en')} steps, seed ${SEEDS[0]}), and its swaps, alpha × layer:`,
    layerTable(depth),
    alphaByLayer(depth),
  ];
}

function alphaByLayer({ swapSuccessByAlpha }: Layers): string {
  const rows = swapSuccessByAlpha.filter(({ seed }) => seed !== null);
  const alphas = [...new Set(rows.map(({ alpha }) => alpha))].sort((a, b) => a - b);
  const layers = [...new Set(rows.map(({ layer }) => layer))].sort((a, b) => a - b);
  const at = (layer: number, alpha: number) =>
    share(rows.find((row) => row.layer === layer && row.alpha === alpha)?.rate.value);
  return markdown(
    ['layer', ...alphas.map(String)],
    ...layers.map((layer): Row => [layer, ...alphas.map((alpha) => at(layer, alpha))]),
  );
}
