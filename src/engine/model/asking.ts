/** How prompts and their answers become tokens: as they are, or as messages of a chat. */
import { openChat } from '../../formats/chatTemplate.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import type { Prompted } from '../contract/dataset.ts';

export interface Asking {
  /** What stands before every prompt; empty where nothing does. */
  prefix: readonly number[];
  /** The text that the model reads of a prompt, behind the prefix. */
  said(text: string): string;
  /** Token ids of a prompt behind the prefix, up to where the answer begins. */
  prompt(text: string): number[];
  /** Token ids of an answer as it follows a prompt. */
  answer(text: string): number[];
  /** Ends an answer: the end token, or in a chat the one that the template puts behind an answer. */
  endId: number;
}

/** @throws {AppError} INVALID_INPUT for a chat where the model has no chat template, or one that cannot be used. */
export function askingOf(tokenizer: Tokenizer, { prefix, chat: isChat = false }: Prompted): Asking {
  const { encode, eosId } = tokenizer;
  if (!isChat)
    return {
      ...{ prefix: prefix === undefined ? [] : encode(prefix), prompt: encode, endId: eosId },
      said: (text) => text,
      answer: (text) => encode(` ${text}`),
    };
  const chat = openChat(tokenizer.chat);
  const frame = prefix === undefined ? null : chat.around(prefix);
  const said = (text: string) => (frame ? text + frame.after : chat.ask(text));
  return {
    ...{ prefix: frame ? encode(frame.before) : [], said },
    prompt: (text) => encode(said(text)),
    answer: (text) => encode(chat.gap + text),
    endId: tokenizer.startsWith(chat.end.trimStart()) ?? eosId,
  };
}
