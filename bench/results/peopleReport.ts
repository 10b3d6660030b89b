/** What the report says of the authors' people. */
import { bestOf } from './cells.ts';
import { markdown, pooled, type Row, share, show } from './markdown.ts';
import {
  MODEL,
  N_FREE,
  PEOPLE_PRESETS,
  type PeopleAlignment,
  type PeopleCell,
  type PeopleStudy,
  TRAINED,
} from './people.ts';

const isReported = ({ control, population, split }: PeopleAlignment['swaps'][number]) =>
  control === 'CONCEPT' && population === 'UNSEEN' && split === 'TRAIN';

/** Of the model that was trained here. */
export function renderTrained(studies: readonly PeopleStudy[]): string {
  const { model } = studies[0]!;
  return [
    '## The authors’ people',
    `1,000 people of the authors’ lists and wordings (\`data/one-hop\`), ${N_FREE.toLocaleString('en')} free latents, layer ${TRAINED.layer} of a model of width ${MODEL.dModel} and ${MODEL.nLayers} blocks, the first without MLP, that was trained here; it answers ${share(model.train)} of the questions in known phrasings and ${share(model.testOod)} in held-out ones, which two training phrasings of a question hardly teach. ${CONDITION}`,
    renderPeople(studies),
  ].join('\n\n');
}

export const CONDITION =
  'Unseen people, known phrasings, whole answers; every edit stands at the last prompt token and at every token of the answer. Each row is at the alpha that does best on these very prompts. Our own generated people are the easier test.';

/** The tables of a model's presets. */
export function renderPeople(studies: readonly PeopleStudy[]): string {
  const controls = studies.flatMap(({ sweep }) => sweep.controls);
  const kinds = [...new Set(controls.map(({ kind }) => kind!))];
  const cellRow = (name: string, cell: PeopleCell | undefined): Row[] =>
    cell
      ? [
          [
            name,
            cell.method,
            cell.alpha,
            show(cell.success),
            share(cell.loose.value),
            share(cell.otherPrompts.value),
          ],
        ]
      : [];
  const missing = PEOPLE_PRESETS.filter((preset) => !studies.some((study) => study.preset === preset));
  const probe = studies.map(({ sweep }) => sweep.linearProbe).find(Boolean);
  const das = studies.map(({ sweep }) => sweep.das).find(Boolean);
  return [
    markdown(
      ['edited', 'method', 'alpha', 'whole answers', 'a part of one another', 'other prompts kept'],
      ...studies.flatMap(({ preset, sweep }) => cellRow(`slots, ${preset}`, bestOf(sweep.results))),
      ...kinds.flatMap((kind) => cellRow(kind, bestOf(controls.filter((cell) => cell.kind === kind)))),
    ),
    ...(das ? [`DAS edits in ${das.dimensions} dimensions.`] : []),
    ...(missing.length > 0 ? [`Not measured yet: ${missing.join(', ')}.`] : []),
    markdown(
      [
        ...['preset', 'binding, known / held-out', 'EffFeat, all latents / slots'],
        ...['Top1Conc, all latents / slots', 'alpha by validation', 'swaps there'],
      ],
      ...studies.map(
        ({ preset, alignment: { known, heldOut, chosenAlpha, swaps } }): Row => [
          ...[preset, `${share(known.accuracy)} / ${share(heldOut.accuracy)}`],
          `${known.effFeat?.toFixed(1) ?? '–'} / ${known.slotEffFeat?.toFixed(2) ?? '–'}`,
          `${share(known.top1Conc)} / ${share(known.slotTop1Conc)}`,
          ...[chosenAlpha ?? '–', show(pooled(swaps.filter(isReported)))],
        ],
      ),
    ),
    ...(probe
      ? [
          `A linear probe reads ${show(probe.accuracy)} of the prompts asked here, the slots ${show(probe.binding)}.`,
        ]
      : []),
  ].join('\n\n');
}
