/** Keys that a JSON object has twice: `JSON.parse` keeps the last one in silence. */

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);

/** The first key that the outermost object of this valid JSON has twice; null where there is none. */
export function findRepeatedKey(json: string): string | null {
  const keys = new Set<string>();
  let depth = 0;
  let [begin, end] = [0, 0];
  for (let i = 0; i < json.length; i++) {
    const mark = json[i];
    if (mark === '"') {
      [begin, end] = [i, endOfString(json, i)];
      i = end;
    } else if (mark === '{' || mark === '[') depth += 1;
    else if (mark === '}' || mark === ']') depth -= 1;
    else if (mark === ':' && depth === 1) {
      const key = JSON.parse(json.slice(begin, end + 1)) as string;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}

/** Where the quote stands that ends the string beginning at `at`. */
function endOfString(json: string, at: number): number {
  let i = at + 1;
  for (; json.charCodeAt(i) !== QUOTE; i++) if (json.charCodeAt(i) === BACKSLASH) i += 1;
  return i;
}
