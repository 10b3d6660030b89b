/** What a file is when it is not what its name says, told by how it begins. */

/** Bytes of a file's beginning that are enough to tell. */
export const TELLING_BYTES = 256;

const PICKLE = 'it is a Python pickle, which torch.save writes; save_pretrained writes safetensors';
const WEB_PAGE = 'it is a web page, perhaps an error that was saved in place of the file';

/** How files begin that are put in the place of others, lower-cased, and what to do about each. */
const BEGINNINGS: readonly [string, string][] = [
  [
    'version https://git-lfs.github.com/spec/',
    'it is a Git LFS pointer, which a clone without LFS leaves in place of the file; run "git lfs install" and "git lfs pull" in the clone',
  ],
  ['/annex/objects/', 'it is a git-annex pointer; run "git annex get" on it'],
  [
    'pk\u0003\u0004',
    'it is a zip archive, which torch.save writes, and spreadsheets; save_pretrained writes safetensors, a spreadsheet can be saved as text',
  ],
  ...[2, 3, 4, 5].map((version): [string, string] => [`\u0080${String.fromCharCode(version)}`, PICKLE]),
  ['gguf', 'it is a GGUF file'],
  ['par1', 'it is a Parquet file'],
  ['\u0089hdf', 'it is an HDF5 file'],
  ['\u001f\u008b', 'it is compressed by gzip; decompress it'],
  ['<!doctype', WEB_PAGE],
  ['<html', WEB_PAGE],
];

/** Names the other format that a file begins like; null where it begins like none. */
export function nameLookalike(beginning: Uint8Array): string | null {
  const text = Buffer.from(beginning.subarray(0, TELLING_BYTES)).toString('latin1').toLowerCase();
  return BEGINNINGS.find(([begin]) => text.startsWith(begin))?.[1] ?? null;
}
