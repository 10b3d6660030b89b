/** `tokenizer.json` and `tokenizer_config.json`, both ways. */
import { type AppError, invalidInput } from '../../errors.ts';
import { type ChatTemplate, MAX_TEMPLATE } from '../chatTemplate.ts';
import { loadTokenizer, type TokenizerJson } from '../tokenizer.ts';
import type { Checkpoint } from './checkpoint.ts';

const FILE = 'tokenizer.json';
const SPECIAL_TOKENS = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => `${name}_token`);
const MODELS = ['BPE', 'WordLevel', 'WordPiece'];

/**
 * The tokenizer in the form in which models keep it: `tokenizer.json` with the chat template, `chat`, and with `eos_token`,
 * which ends what is generated, named by the checkpoint's `eos_token_id` if the tokenizer has that one, or else by `tokenizer_config.json`.
 * @throws {AppError} INVALID_INPUT when it cannot be run, or has tokens for which the model has no embedding.
 */
export function readTokenizer(
  text: string,
  {
    eosId,
    settings,
    template,
    dVocab,
  }: Pick<Checkpoint, 'settings' | 'template'> & { eosId: unknown; dVocab: number },
): TokenizerJson {
  const json = parse(text);
  const { type, vocab } = json.model ?? {};
  if (!MODELS.includes(type) || typeof vocab !== 'object' || Array.isArray(vocab))
    throw unusable(`its model is ${String(type)}; supported are ${MODELS.join(', ')}`);
  const eosToken = tokenOf(json, eosId) ?? contentOf(settings.eos_token);
  const chat = readChat(settings, template);
  const named = { ...json, ...(eosToken !== undefined && { eos_token: eosToken }), ...(chat && { chat }) };
  const found = load(named);
  if (found.dVocab <= dVocab) return named;
  throw unusable(`its largest id is ${found.dVocab - 1}, but config.json has a vocab_size of ${dVocab}`);
}

function parse(text: string): TokenizerJson {
  try {
    return JSON.parse(text) as TokenizerJson;
  } catch (cause) {
    throw unusable(`it is not JSON: ${(cause as Error).message}`);
  }
}

function load(json: TokenizerJson) {
  try {
    return loadTokenizer(json);
  } catch (cause) {
    throw unusable((cause as Error).message);
  }
}

/** The token of this id (the first, where there are several) if it is one of the added tokens. */
function tokenOf({ added_tokens: added = [] }: TokenizerJson, id: unknown): string | undefined {
  const first = Array.isArray(id) ? id[0] : id;
  return added.find((token) => token.id === first)?.content;
}

/** The template of a file of its own goes before the one in the settings, which may have several by name. */
function readChat(settings: Checkpoint['settings'], own: string | null): ChatTemplate | null {
  const stated = settings.chat_template;
  const named = Array.isArray(stated)
    ? (stated as { name?: unknown; template?: unknown }[]).find((each) => each?.name === 'default')?.template
    : stated;
  const template = own ?? named;
  // One that is too long to be one is left out like one that is missing: the model does without chats.
  if (typeof template !== 'string' || template.length > MAX_TEMPLATE) return null;
  const tokens = SPECIAL_TOKENS.flatMap((name) => {
    const token = contentOf(settings[name]);
    return token === undefined ? [] : [[name, token] as const];
  });
  return { template, tokens: Object.fromEntries(tokens) };
}

/** Written as the token itself, or as an object with it in `content`. */
function contentOf(token: unknown): string | undefined {
  const content =
    typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
  return typeof content === 'string' ? content : undefined;
}

function unusable(why: string): AppError {
  return invalidInput([FILE], `${FILE} cannot be used: ${why}`);
}

/** The two files that transformers loads for a stored tokenizer. */
export function describeTokenizer(stored: TokenizerJson, nCtx: number) {
  const { eos_token: _, chat, ...json } = stored;
  const { eosId, padId } = loadTokenizer(stored);
  const tokens = new Map(json.added_tokens.map(({ id, content }) => [id, content]));
  return {
    json,
    settings: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...(chat && { ...chat.tokens, chat_template: chat.template }),
      eos_token: tokens.get(eosId),
      pad_token: tokens.get(padId),
      ...(json.model.unk_token && { unk_token: json.model.unk_token }),
      model_max_length: nCtx,
      // Word-level texts are joined by spaces, which stand before marks too.
      clean_up_tokenization_spaces: json.model.type === 'WordLevel',
    },
  };
}
