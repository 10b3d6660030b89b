import { describe, expect, it } from 'vitest';
import { readArguments, USAGE } from '../../src/demo/arguments.ts';

describe('the demo’s arguments', () => {
  it('are those of the model that is trained here, where none are given', () => {
    expect(readArguments([])).toEqual({
      ...{ help: false, exit: false, model: 'gpt2', seed: 0 },
      ...{ people: 100, steps: null, countries: 40 },
    });
    expect(readArguments(['--seed', '3', '--people', '20', '--steps', '50', '--exit'])).toMatchObject({
      ...{ seed: 3, people: 20, steps: 50, exit: true },
    });
  });

  it('name a real model', () => {
    expect(readArguments(['--model', 'smollm2', '--countries', '40'])).toMatchObject({
      ...{ model: 'smollm2', countries: 40 },
    });
  });

  it.each([
    [['--model', 'llama'], '--model must be gpt2 or smollm2, got "llama"'],
    [['--model', ''], '--model must be gpt2 or smollm2, got ""'],
    [['--model', 'smollm2', '--people', '3'], '--people goes with --model gpt2, not with smollm2'],
    [['--countries', '30'], '--countries goes with --model smollm2, not with gpt2'],
    [['--seed', 'x'], '--seed must be a whole number from 0, got "x"'],
    [['--people', '0'], '--people must be a whole number from 1, got "0"'],
    [['--steps', '1.5'], '--steps must be a whole number from 1, got "1.5"'],
    [['--modle', 'smollm2'], "Unknown option '--modle'"],
    [['smollm2'], 'smollm2'],
  ])('%j are refused, saying why', (args, message) => {
    expect(() => readArguments(args)).toThrow(message);
  });

  it('are all told by the help', () => {
    for (const flag of ['model', 'exit', 'seed', 'people', 'steps', 'countries'])
      expect(USAGE).toContain(`--${flag}`);
  });
});
