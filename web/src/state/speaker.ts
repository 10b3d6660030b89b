/** The model speaking: what it has said so far, and how it is steered from here on. */
import { type Signal, signal } from '@preact/signals';
import { Generation, type SwapMethod } from '../api/documents.ts';
import { listen } from '../api/live.ts';

export interface Said {
  text: string;
  probability: number;
  /** The concept that was on; null where it spoke by itself. */
  steer: string | null;
}

export interface Manner {
  run: string;
  prompt: string;
  alpha: number;
  method: SwapMethod;
  /** Its tokens are words: what is joined needs blanks between. */
  speaksWords: boolean;
}

const LONGEST = 120;
const ENDS = { EOS: 'It ended its text.', LENGTH: 'It reached the longest text.' } as const;

export class Speaker {
  readonly said: Signal<readonly Said[]> = signal([]);
  readonly steer: Signal<string | null> = signal(null);
  readonly isSpeaking: Signal<boolean> = signal(false);
  /** Why it stopped by itself. */
  readonly end: Signal<string> = signal('');
  readonly fault: Signal<string> = signal('');
  #stop: () => void = () => undefined;

  silence(): void {
    this.#stop();
    this.isSpeaking.value = false;
  }

  clear(): void {
    this.silence();
    this.said.value = [];
    this.end.value = this.fault.value = '';
  }

  /** From the next token on; what it says now is broken off and gone on with. */
  turn(target: string | null, manner: Manner): void {
    this.steer.value = target;
    if (this.isSpeaking.peek()) this.speak(manner);
  }

  speak({ run, prompt, alpha, method, speaksWords }: Manner): void {
    this.silence();
    const target = this.steer.peek();
    const before = this.said.peek();
    this.end.value = this.fault.value = '';
    if (before.length >= LONGEST) return;
    this.isSpeaking.value = true;
    let isFirst = speaksWords;
    this.#stop = listen({
      document: Generation,
      variables: {
        input: {
          runId: run,
          prompt: prompt + before.map(({ text }) => text).join(''),
          maxNewTokens: LONGEST - before.length,
          ...(target === null ? {} : { interventions: [{ targetConcept: target, alpha, method }] }),
        },
      },
      next: ({ generation }) => {
        if (generation.__typename === 'GenerationFinished') this.end.value = ENDS[generation.reason];
        else {
          const { text, probability } = generation;
          const said = {
            text: isFirst && !text.startsWith(' ') ? ` ${text}` : text,
            probability,
            steer: target,
          };
          isFirst = false;
          this.said.value = [...this.said.peek(), said];
        }
      },
      end: () => {
        this.isSpeaking.value = false;
      },
      fail: ({ message }) => {
        this.fault.value = message;
        this.isSpeaking.value = false;
      },
    });
  }
}
