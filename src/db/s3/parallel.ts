/** Transfers that run side by side. */
const AT_A_TIME = 4;

/** `work` for each item, some at a time, in their order; after a failure no more are begun, and those under way end. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const failures: unknown[] = [];
  const lane = async () => {
    while (next < items.length && failures.length === 0) {
      const i = next++;
      try {
        results[i] = await work(items[i]!);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
