/**
 * Chat templates: how a model that was trained on conversations wants a message put to it, as Jinja in its checkpoint. They
 * are programs from elsewhere, so each rendering has a time limit.
 */
import { createContext, Script } from 'node:vm';
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { invalidInput } from '../errors.ts';

/** A template with the special tokens that it may name, such as `bos_token`; plain data. */
export interface ChatTemplate {
  template: string;
  tokens: Readonly<Record<string, string>>;
}

/** Conversations of a user's message and an answer. */
export interface Chat {
  /** The message, up to where the answer begins; models that think before they answer are told not to. */
  ask(message: string): string;
  /** What stands before and after a message that begins with this text, which belongs to what stands before it. */
  around(beginning: string): { before: string; after: string };
  /** What stands between a message that is asked and the answer; mostly nothing. */
  gap: string;
  /** What follows an answer. */
  end: string;
}

/** Characters; those of models in use have up to 20,000. */
export const MAX_TEMPLATE = 200_000;
const MAX_MS = 2000;
const MAX_RANGE = 100_000;
/** Stand for texts that the template is asked with, which no template says by itself. */
const MARK = 'q7Zp0vXk';
const ANSWER = 'k3Wm8yHd';
/** Templates that tell the day are told the one that Llama's own falls back to, so that results do not depend on the day. */
const DAY: Readonly<Record<string, string>> = {
  ...{ d: '26', m: '07', Y: '2024', y: '24', b: 'Jul', B: 'July', a: 'Fri', A: 'Friday' },
  ...{ H: '00', M: '00', S: '00', j: '208', p: 'AM', I: '12' },
};

/** @throws {AppError} INVALID_INPUT where there is no template, or it cannot be used. */
export function openChat(given: ChatTemplate | null): Chat {
  if (!given)
    throw refuse(
      'the model has no chat template: neither its tokenizer_config.json nor a chat_template.jinja nor its GGUF metadata brought one; leave chat out',
    );
  const render = createRenderer(given);
  const user = (content: string) => [{ role: 'user', content }];
  const ask = (message: string) => render(user(message), true);
  const around = (beginning: string) => {
    const [before, after, ...others] = ask(`${beginning}${MARK}`).split(MARK);
    if (after === undefined || others.length > 0)
      throw refuse('the chat template of the model does not state a message exactly once');
    return { before: before!, after };
  };
  return {
    ask,
    around,
    ...answering(ask(MARK), render([...user(MARK), { role: 'assistant', content: ANSWER }], false)),
  };
}

/** How an answer stands behind a message: what is between them, and what follows. */
function answering(asked: string, answered: string): Pick<Chat, 'gap' | 'end'> {
  const at = answered.indexOf(ANSWER);
  if (at < 0) throw refuse('the chat template of the model does not state an answer');
  const before = answered.slice(0, at);
  return {
    gap: before.startsWith(asked) ? before.slice(asked.length) : '',
    end: answered.slice(at + ANSWER.length),
  };
}

interface Message {
  role: string;
  content: string;
}

/** As transformers sets its environment up. */
const BLOCKS = { lstrip_blocks: true, trim_blocks: true };

function createRenderer({ template, tokens }: ChatTemplate): (messages: Message[], asks: boolean) => string {
  const program = guarded(() => parse(tokenize(template, BLOCKS)));
  return (messages, asks) =>
    guarded(() => {
      const environment = new Environment();
      const told = {
        messages,
        add_generation_prompt: asks,
        tools: null,
        documents: null,
        enable_thinking: false,
      };
      for (const [name, value] of Object.entries({ ...tokens, ...told, ...GLOBALS }))
        environment.set(name, value);
      const said: unknown = new Interpreter(environment).run(program).value;
      if (typeof said === 'string') return said;
      throw new Error('it renders no text');
    });
}

/** What templates find besides; the library's own tell today's date. */
const GLOBALS = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  raise_exception(why: unknown) {
    throw new Error(String(why));
  },
  range(...given: number[]) {
    const [start, stop, step = 1] =
      given.length === 1 ? [0, given[0]!] : (given as [number, number, number?]);
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (!(length <= MAX_RANGE)) throw new Error(`a range of ${length} numbers is too long`);
    return Array.from({ length }, (_, i) => start + i * step);
  },
  strftime_now: tellDay,
};

function tellDay(format: unknown): string {
  return String(format).replace(/%-?([a-zA-Z])/g, (whole, letter: string) => DAY[letter] ?? whole);
}

/** `vm` has limits of time for scripts alone: this one calls what is put into its room. */
const CALL = new Script('work()');
const ROOM = createContext({}) as { work?: () => unknown };

/** What a template throws, or does without end, is refused. */
function guarded<T>(work: () => T): T {
  ROOM.work = work;
  try {
    return CALL.runInContext(ROOM, { timeout: MAX_MS }) as T;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? `it runs longer than ${MAX_MS / 1000} s` : String(message);
    throw refuse(`the chat template of the model cannot be used: ${why.slice(0, 300)}`);
  }
}

function refuse(why: string) {
  return invalidInput(['chat'], why);
}
