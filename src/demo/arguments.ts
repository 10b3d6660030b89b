/** The demo's command line. */
import { parseArgs } from 'node:util';

export const DEMO_MODELS = ['gpt2', 'smollm2'] as const;
export type DemoModel = (typeof DEMO_MODELS)[number];

const PEOPLE = 100;
/** Enough for a table; 30 of them took 6 minutes 41 seconds of processor time. */
const COUNTRIES = 40;

export const USAGE = `npm run demo -- [--model gpt2] [--exit] [--seed N] [--people N] [--steps N]
npm run demo -- --model smollm2 [--exit] [--seed N] [--countries N]

  --model NAME   gpt2: a small GPT-2 that is trained here on generated biographies (the default);
                 smollm2: SmolLM2-135M-Instruct as it is, and what it knows of countries
                 (a download of 93 MB the first time)
  --exit         end the server when the demo is through, instead of serving on
  --seed N       seed of the data, the model and the alignments (default 0)
  --people N     people in the generated biographies (default ${PEOPLE})
  --steps N      training steps of the language model (default: the API's; fewer on wasm)
  --countries N  countries that SmolLM2 is asked about (default ${COUNTRIES})
`;

export interface DemoArguments {
  help: boolean;
  exit: boolean;
  model: DemoModel;
  seed: number;
  people: number;
  /** Null takes the default of the backend. */
  steps: number | null;
  countries: number;
}

/** @throws Error saying which argument is wrong, what it was, and what is accepted. */
export function readArguments(args: readonly string[]): DemoArguments {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const model = DEMO_MODELS.find((name) => name === values.model);
  if (!model) throw new Error(`--model must be ${DEMO_MODELS.join(' or ')}, got "${values.model}"`);
  for (const [flag, of] of Object.entries(ONLY_OF))
    if (values[flag as keyof typeof ONLY_OF] !== undefined && of !== model)
      throw new Error(`--${flag} goes with --model ${of}, not with ${model}`);
  return {
    ...{ help: values.help, exit: values.exit, model },
    seed: whole('seed', values.seed, 0) ?? 0,
    people: whole('people', values.people) ?? PEOPLE,
    steps: whole('steps', values.steps),
    countries: whole('countries', values.countries) ?? COUNTRIES,
  };
}

const OPTIONS = {
  exit: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
  model: { type: 'string', default: 'gpt2' },
  seed: { type: 'string' },
  people: { type: 'string' },
  steps: { type: 'string' },
  countries: { type: 'string' },
} as const;

const ONLY_OF = { people: 'gpt2', steps: 'gpt2', countries: 'smollm2' } as const;

/** How large a number may be is for the API to say. */
function whole(flag: string, value: string | undefined, least = 1): number | null {
  if (value === undefined) return null;
  if (/^\d+$/.test(value) && Number(value) >= least) return Number(value);
  throw new Error(`--${flag} must be a whole number from ${least}, got "${value}"`);
}
