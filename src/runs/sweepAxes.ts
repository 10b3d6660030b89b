/** What an alignment sweep varies besides layers and seeds: lists of settings, each with each or one by one. */
import type { AlignmentSettings, AlignmentSettingsInput } from '../engine/contract/alignmentSettings.ts';
import { merge } from '../engine/contract/merge.ts';
import { AppError, invalidInput, invalidInputs } from '../errors.ts';
import { leavesOf, type SettingValue } from './settingValues.ts';

/** GRID: each value of an axis with each of every other; PAIRED: the first values of all axes, the second ones and so on. */
export const COMBINATIONS = ['GRID', 'PAIRED'] as const;
export type Combination = (typeof COMBINATIONS)[number];

/** A list of values; each is some settings, which then differ from the sweep's own. */
export interface SweepAxis {
  values: AlignmentSettingsInput[];
}

/** The settings of some parts, and which value of each axis made them. */
export interface Point {
  settings: AlignmentSettingsInput;
  chosen: readonly number[];
}

/**
 * The points of all axes over `base`, the first axis changing slowest; `base` alone without axes.
 * @throws AppError INVALID_INPUT naming an axis that is empty, as long as no other, or sets what another sets.
 */
export function pointsOf(
  base: AlignmentSettingsInput,
  axes: readonly SweepAxis[],
  combination: Combination,
  most: number,
): Point[] {
  checkAxes(axes, combination);
  const counts = axes.map(({ values }) => values.length);
  const number =
    combination === 'PAIRED' ? (counts[0] ?? 1) : counts.reduce((product, count) => product * count, 1);
  if (number > most)
    throw invalidInput(['axes'], `a sweep may have ${most} parts; the axes alone make ${number}`);
  return Array.from({ length: number }, (_, i) => {
    const chosen = combination === 'PAIRED' ? axes.map(() => i) : placesOf(i, counts);
    const settings = axes.reduce((made, { values }, axis) => merge(made, values[chosen[axis]!]!), base);
    return { settings, chosen };
  });
}

/** `i` as digits, of which each axis has its own base. */
function placesOf(i: number, counts: readonly number[]): number[] {
  const places: number[] = [];
  let rest = i;
  for (const count of [...counts].reverse()) {
    places.unshift(rest % count);
    rest = Math.floor(rest / count);
  }
  return places;
}

function checkAxes(axes: readonly SweepAxis[], combination: Combination): void {
  const setBy = new Map<string, number>();
  axes.forEach(({ values }, axis) => {
    const path = ['axes', String(axis)];
    if (values.length === 0) throw invalidInput([...path, 'values'], 'an axis must have one or more values');
    if (combination === 'PAIRED' && values.length !== axes[0]!.values.length)
      throw invalidInput(
        [...path, 'values'],
        `paired axes must be equally long; axes[0] has ${axes[0]!.values.length} values, axes[${axis}] ${values.length}`,
      );
    for (const [i, value] of values.entries())
      if (pathsIn(value).length === 0)
        throw invalidInput(
          [...path, 'values', String(i)],
          'a value of an axis must name one or more settings',
        );
    for (const setting of pathsOf([{ values }])) {
      const other = setBy.get(setting);
      if (other !== undefined)
        throw invalidInput(path, `${setting} is set by axes[${other}] too; one axis has a setting`);
      setBy.set(setting, axis);
    }
  });
}

/** Dotted paths of all settings that the axes set, in their order. */
export function pathsOf(axes: readonly SweepAxis[]): string[] {
  return [...new Set(axes.flatMap(({ values }) => values.flatMap(pathsIn)))];
}

const pathsIn = (value: object) => leavesOf(value).map(([path]) => path);

/** What `make` gives of a point's settings; what is wrong with them is said of the value of the axis that names it. */
export async function ofPoint<T>(
  { settings, chosen }: Point,
  axes: readonly SweepAxis[],
  make: (settings: AlignmentSettingsInput) => Promise<T>,
): Promise<T> {
  try {
    return await make(settings);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') throw error;
    throw invalidInputs(
      error.issues.map(({ path, message }) => {
        const [root, ...setting] = path;
        const dotted = setting.join('.');
        const names = ({ values }: SweepAxis, i: number) =>
          pathsIn(values[chosen[i]!]!).some(
            (named) => named === dotted || named.startsWith(`${dotted}.`) || dotted.startsWith(`${named}.`),
          );
        const axis = root === 'settings' && dotted !== '' ? axes.findIndex(names) : -1;
        if (axis < 0) return { path, message };
        return { path: ['axes', String(axis), 'values', String(chosen[axis]), ...setting], message };
      }),
    );
  }
}

/** These settings of a part, as JSON; nothing of one that it does not have. */
export function valuesAt(
  settings: AlignmentSettings,
  paths: readonly string[],
): Omit<SettingValue, 'fallback'>[] {
  const leaves = new Map(leavesOf(settings));
  return paths.flatMap((key) => {
    const value = leaves.get(key);
    return value === undefined ? [] : [{ key, value }];
  });
}
