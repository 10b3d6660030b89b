import { type GraphQLInputObjectType, getNamedType, isInputObjectType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { biographySettings } from '../../../src/data/biography.ts';
import { twoHopSettings } from '../../../src/data/two-hop-generator.ts';
import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import { alignmentSettings } from '../../../src/engine/contract/alignmentSettings.ts';
import { grokSettings } from '../../../src/engine/contract/analysisSettings.ts';
import { baselineSettings } from '../../../src/engine/contract/baselineSettings.ts';
import { unwrap } from '../../../src/engine/contract/describe.ts';
import { checkpointSchedule, stopRule } from '../../../src/engine/contract/grokkingSettings.ts';
import { hopSwapSettings } from '../../../src/engine/contract/hopSwapSettings.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { sweepSettings } from '../../../src/engine/contract/swapSweepSettings.ts';
import { type AppError, type InputIssue, parseOrThrow } from '../../../src/errors.ts';
import { buildSchema } from '../../../src/schema/schema.ts';
import { swapSettings } from '../../../src/services/conceptSwap.ts';
import { editSettings, samplingSettings } from '../../../src/services/generation.ts';

type Values = Record<string, unknown>;

/** Every table of settings, with values that are accepted, and the input that describes it. */
const TABLES: [name: string, schema: z.ZodObject, values: Values][] = [
  ['AlignmentSettingsInput', alignmentSettings, { ...ALIGNMENT_PRESETS.PAPER }],
  ['BaselineSettingsInput', baselineSettings, baselineSettings.parse({ nFree: 1000 })],
  ['ModelSettingsInput', modelSettings, modelSettings.parse({})],
  ['CheckpointAnalysisSettingsInput', grokSettings, grokSettings.parse({})],
  ['SwapSweepSettingsInput', sweepSettings, sweepSettings.parse({})],
  ['HopSwapSettingsInput', hopSwapSettings, hopSwapSettings.parse({})],
  ['GenerateDatasetInput', biographySettings, biographySettings.parse({})],
  ['GenerateTwoHopDatasetInput', twoHopSettings, twoHopSettings.parse({})],
  ['CheckpointScheduleInput', checkpointSchedule, {}],
  ['GrokkingStopRuleInput', stopRule, { measure: 'DIAGONAL_STRENGTH', threshold: 0 }],
  ['SwapConceptInput', swapSettings, {}],
  ['GenerationInput', samplingSettings, {}],
  ['GenerationIntervention', editSettings, {}],
];
const api = buildSchema();

interface Case {
  name: string;
  path: string[];
  /** As the API tells it, such as `1–48`. */
  accepted: string;
  issuesWith(value: unknown): InputIssue[];
}

/** Every setting of which the API says what is accepted. */
const cases = TABLES.flatMap(([name, schema, values]) =>
  describedIn(api.getType(name) as GraphQLInputObjectType, schema, []).map(
    ({ path, accepted }): Case => ({
      ...{ name: `${name}.${path.join('.')}`, path, accepted },
      issuesWith: (value) => issuesOf(schema, put(values, path, value)),
    }),
  ),
);

function describedIn(
  input: GraphQLInputObjectType,
  { shape }: z.ZodObject,
  path: string[],
): { path: string[]; accepted: string }[] {
  return Object.entries(shape).flatMap(([key, schema]) => {
    const field = input.getFields()[key]!;
    const type = getNamedType(field.type);
    const own = [...path, key];
    if (isInputObjectType(type)) return describedIn(type, unwrap(schema) as z.ZodObject, own);
    const accepted = / Accepted: (.*?)\.(?= Default|$)/.exec(field.description!)?.[1];
    return accepted === undefined ? [] : [{ path: own, accepted }];
  });
}

function put(values: Values, [key, ...rest]: string[], value: unknown): Values {
  return { ...values, [key!]: rest.length === 0 ? value : put(values[key!] as Values, rest, value) };
}

function issuesOf(schema: z.ZodType, value: unknown): InputIssue[] {
  try {
    parseOrThrow(schema, value);
    return [];
  } catch (error) {
    return [...(error as AppError).issues];
  }
}

/** The first and last values inside, and the nearest outside. */
function edges(accepted: string, isWhole: boolean): { inside: number[]; outside: number[] } {
  const number = (text: string) => Number(text.replaceAll(',', ''));
  const step = isWhole ? 1 : 1e-9;
  const inside: number[] = [];
  const outside: number[] = [];
  const range = /^(-?[\d.,]+)(?:–| to )([\d.,]+)$/.exec(accepted);
  const bounds = range ? [`at least ${range[1]}`, `at most ${range[2]}`] : accepted.split(/, (?=[a-z])/);
  for (const bound of bounds) {
    const [, kind, text] = /^(at least|at most|above|below) (-?[\d.,]+)$/.exec(bound)!;
    const edge = number(text!);
    const outwards = kind === 'at least' || kind === 'above' ? -step : step;
    const holds = kind!.startsWith('at ');
    inside.push(holds ? edge : edge - outwards);
    outside.push(holds ? edge + outwards : edge);
  }
  return { inside, outside };
}

/** Items of lists by their numbers. */
const ITEMS: Record<string, (i: number) => unknown> = {
  alphas: (i) => i / 10,
  withheldTargets: (i) => `c${i}`,
  methods: () => 'LATENT_DECODE',
  dasDimensions: (i) => i + 1,
};

const numbers = cases.filter(({ accepted }) => !/of them|none twice|[A-Z]/.test(accepted));
const typeOf = ({ name }: Case) => {
  const [first, ...path] = name.split('.') as [string, ...string[]];
  let type = api.getType(first) as GraphQLInputObjectType;
  for (const key of path) type = getNamedType(type.getFields()[key]!.type) as GraphQLInputObjectType;
  return String(type);
};

describe('what the API says is accepted', () => {
  test('is said of every number', () => {
    const told = new Set(cases.map(({ name }) => name));
    const untold = TABLES.flatMap(([name, schema]) =>
      numbersIn(schema, [name]).filter((path) => !told.has(path)),
    );
    expect(untold).toEqual([]);
    expect(numbers.length).toBeGreaterThan(70);
  });

  test.each(numbers)('is what is accepted: $name, $accepted', (setting) => {
    const { inside, outside } = edges(setting.accepted, typeOf(setting) === 'Int');
    const at = (issues: InputIssue[]) =>
      // Rules between settings, such as that heads divide the width, are not about the range.
      issues.filter(
        ({ path, message }) =>
          path.join('.') === setting.path.join('.') && / a (whole )?number/.test(message),
      );
    for (const value of inside) expect(at(setting.issuesWith(value)), `${value}`).toEqual([]);
    for (const value of outside) {
      const message = `${setting.path.at(-1)} must be a ${typeOf(setting) === 'Int' ? 'whole ' : ''}number, ${setting.accepted}; got ${value}`;
      expect(at(setting.issuesWith(value))).toEqual([{ path: setting.path, message }]);
    }
  });

  test.each(cases.filter(({ accepted }) => accepted.includes('of them')))(
    'holds for lists: $name, $accepted',
    ({ accepted, path, issuesWith }) => {
      const key = path.at(-1)!;
      const refuses = (value: unknown[], message: string) =>
        expect(issuesWith(value)).toMatchObject([{ message: expect.stringContaining(message) }]);
      const [, from, to, atLeast, atMost] =
        /^(?:(\d+)–([\d,]+)|at least (\d+)|at most ([\d,]+)) of them/.exec(accepted)!;
      const min = Number(from ?? atLeast ?? 0);
      const max = Number((to ?? atMost)?.replaceAll(',', ''));
      const items = Array.from({ length: max || min }, (_, i) => ITEMS[key]?.(i));
      expect(issuesWith(items)).toEqual([]);
      if (min > 0) refuses(items.slice(0, min - 1), `${key} must be ${accepted}; got ${min - 1} values`);
      if (max) refuses([...items, ITEMS[key]!(max)], `${key} must be ${accepted}; got ${max + 1} values`);
      if (accepted.includes('each -1,000 to 1,000'))
        refuses([1, 1001], `${key}[1] must be a number, -1,000 to 1,000; got 1001`);
      if (accepted.includes('none twice'))
        refuses([items[0], items[0]], `${key} must not repeat ${items[0]}`);
    },
  );

  test('says which values of an enum', () => {
    const activation = cases.find(({ name }) => name === 'BaselineSettingsInput.activation')!;
    expect(activation.accepted).toBe('RELU, TOPK, BATCH_TOPK');
    expect(activation.issuesWith('LINEAR')).toEqual([
      { path: ['activation'], message: 'activation must be one of RELU, TOPK, BATCH_TOPK; got "LINEAR"' },
    ]);
  });
});

function numbersIn({ shape }: z.ZodObject, path: string[]): string[] {
  return Object.entries(shape).flatMap(([key, field]) => {
    const schema = unwrap(field);
    if (schema instanceof z.ZodObject) return numbersIn(schema, [...path, key]);
    return schema instanceof z.ZodNumber ? [[...path, key].join('.')] : [];
  });
}

describe('several settings that are not acceptable', () => {
  const { PAPER } = ALIGNMENT_PRESETS;

  test('are told of by pairs: decay would move free latents that are to stay', () => {
    const settings = { ...ALIGNMENT_PRESETS.AUTHORS, freezeFree: true };
    const message =
      'weightDecay must be 0 where freezeFree is set, for it would shrink the free latents; got 0.01';
    expect(issuesOf(alignmentSettings, settings)).toEqual([{ path: ['weightDecay'], message }]);
    expect(issuesOf(alignmentSettings, { ...settings, weightDecay: 0 })).toEqual([]);
  });

  test('are one error that names each, rules between settings too', () => {
    const settings = {
      ...PAPER,
      ...{ layer: 1000, activation: 'TOPK', nFree: 8, k: 9, unseenShare: 0.6, validationShare: 0.4 },
      ...{
        alphas: [1, Number.NaN],
        weights: { ...PAPER.weights, recon: -1 },
        posttrain: { ...PAPER.posttrain, learningRate: 0 },
      },
    };
    const issues = issuesOf(alignmentSettings, settings);
    expect(issues.map(({ path, message }) => [path.join('.'), message])).toEqual([
      ['layer', 'layer must be a whole number, -1 to 999; got 1000'],
      ['weights.recon', 'recon must be a number, 0–1,000,000; got -1'],
      ['posttrain.learningRate', 'learningRate must be a number, above 0, at most 1; got 0'],
      ['alphas.1', 'alphas[1] must be a number, -1,000 to 1,000; got NaN'],
      ['k', 'k must be at most nFree (8); got 9'],
      ['unseenShare', 'unseenShare and validationShare together must be at most 0.9; got 1'],
    ]);
  });

  test('leave out rules that read one of them', () => {
    const issues = issuesOf(alignmentSettings, {
      ...PAPER,
      activation: 'TOPK',
      k: 0,
      nFree: 0,
      unseenShare: 2,
    });
    expect(issues.map(({ path }) => path.join('.'))).toEqual(['nFree', 'k', 'unseenShare']);
    expect(issues.at(-1)!.message).toBe('unseenShare must be a number, 0–0.9; got 2');
  });

  test('keep message and path of the first', () => {
    const refused = () => parseOrThrow(modelSettings, { nHeads: 3, steps: 0 }, ['settings']);
    expect(refused).toThrow(
      'steps must be a whole number, 1–10,000,000; got 0; nHeads must divide dModel (64); got 3',
    );
    expect(refused).toThrow(expect.objectContaining({ path: ['settings', 'steps'] }));
  });
});
