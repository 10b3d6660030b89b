/** Reads the documents of a stored corpus, each by its own byte range. */
import { type FileHandle, open } from 'node:fs/promises';
import { readHeader, readInto, sourceOf } from '../../formats/safetensors.ts';
import { CORPUS_TENSORS, type CorpusRef } from '../contract/corpus.ts';

const LABEL = 'the corpus';

export interface Corpus {
  /** Number of documents, at least one. */
  documents: number;
  read(document: number): Promise<string>;
  close(): Promise<void>;
}

/** Opens a corpus, of which only the lengths of its documents are held; the caller closes it. */
export async function openCorpus({ path }: CorpusRef): Promise<Corpus> {
  const file = await open(path, 'r');
  try {
    const { tensors } = await readHeader(await sourceOf(file, LABEL), LABEL);
    const { begin } = tensors[CORPUS_TENSORS.text]!;
    const starts = await readStarts(file, tensors[CORPUS_TENSORS.lengths]!);
    return {
      documents: starts.length - 1,
      async read(document) {
        const [from, to] = [starts[document]!, starts[document + 1]!];
        const bytes = Buffer.allocUnsafe(to - from);
        await readInto(file, LABEL, bytes, begin + from);
        return bytes.toString('utf8');
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Where each document begins in the text, and behind the last one where it ends. */
async function readStarts(
  file: FileHandle,
  { begin, shape }: { begin: number; shape: readonly number[] },
): Promise<Float64Array> {
  const lengths = new Int32Array(shape[0]!);
  await readInto(file, LABEL, Buffer.from(lengths.buffer), begin);
  const starts = new Float64Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    starts[i + 1] = starts[i]! + length;
  });
  return starts;
}
