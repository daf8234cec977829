// What a screen reader hears of a comparison: cells that failed, and now and then how far it is; not each token.

import { announce } from "../shared/announcer";
import { visible } from "../shared/visible";
import { allOver } from "./protocol";
import type { GridStore } from "./store";
import { progressWords } from "./words";

/** Milliseconds between two sentences about progress. */
const PATIENCE = 20_000;

/** Announce what becomes of the comparison; return a function that stops it. */
export function announceChanges(store: GridStore): () => void {
  let done = store.state.progress.done;
  let over = allOver(store.state);
  let saidAt = performance.now();
  const failed = new Set<number>();
  store.state.cells.forEach((cell, index) => cell.status === "error" && failed.add(index));
  return store.subscribe((changed) => {
    const { state } = store;
    if (changed !== "all") for (const index of changed) failure(state.cells[index], index);
    const ended = allOver(state);
    const now = performance.now();
    const due = state.progress.done !== done && now - saidAt > PATIENCE;
    if ((ended && !over) || due) {
      announce(`Comparison: ${progressWords(state)}`);
      saidAt = now;
      done = state.progress.done;
    }
    over = ended;
  });

  function failure(cell: GridStore["state"]["cells"][number] | undefined, index: number): void {
    if (cell?.status !== "error") {
      failed.delete(index);
    } else if (!failed.has(index)) {
      failed.add(index);
      announce(`A cell failed. ${visible(cell.error?.message ?? "")}`);
    }
  }
}
