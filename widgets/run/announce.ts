// What a screen reader hears: each change of status, each call to decide on, now and then how many rows a table has, and
// the finished answer; not each token.

import { announce } from "../shared/announcer";
import { compact, count, sizeWords } from "../shared/json_words";
import { render } from "../shared/markdown";
import type { JSONNode } from "../shared/partial";
import { isOver, pending, type Call, type Status } from "./protocol";
import type { RunStore } from "./store";
import { oneLine } from "../shared/visible";
import { statusWords } from "./words";

/** How often rows are counted aloud, at most. */
const ROWS_EVERY = 5_000;
/** A value that is longer than this, as JSON text, isn't read out. */
const LONGEST = 400;
/** Too fleeting to be said, or said better: calls are announced one by one. */
const UNSAID = new Set<Status>(["starting", "prefill", "approval", "tools"]);

/** Announce what becomes of the run; return a function that stops it. */
export function announceChanges(store: RunStore): () => void {
  let status = store.state.status;
  let asked = new Set<string>();
  const announceCalls = (): void => {
    const waiting = pending(store.state);
    for (const call of waiting) if (!asked.has(call.id)) announce(question(call));
    asked = new Set(waiting.map((call) => call.id));
  };
  let rowsAt = performance.now();
  let rows = 0;
  const announceRows = (): void => {
    const now = rowsOf(store.reading?.root);
    if (isOver(store.state.status) || now <= rows || performance.now() - rowsAt < ROWS_EVERY) return;
    announce(`${count(now, "row")} so far`);
    rowsAt = performance.now();
    rows = now;
  };
  announceCalls();
  return store.subscribe(() => {
    const { state } = store;
    announceCalls();
    announceRows();
    if (state.status === status) return;
    status = state.status;
    if (!UNSAID.has(status)) announce(sentence(store));
  });
}

function question({ name, short }: Call): string {
  return `The model asks to call ${oneLine(name, 80)}${short === "" ? "" : ` with ${short}`}. Approve or deny?`;
}

function sentence({ state, reading }: RunStore): string {
  if (!isOver(state.status)) return `${state.model}: ${statusWords(state)}`;
  const answer = reading?.root === undefined ? render(state.text).textContent.trim() : valueWords(reading.root);
  return `${state.model}: ${statusWords(state)}. ${(state.error ?? state.output_error)?.message ?? answer}`;
}

/** How many rows a value has, if it shows as a table. */
function rowsOf(root: JSONNode | undefined): number {
  return root?.kind === "array" && root.items[0]?.kind === "object" ? root.items.length : 0;
}

function valueWords(root: JSONNode): string {
  const rows = rowsOf(root);
  if (rows > 0) return count(rows, "row");
  const text = compact(root, LONGEST);
  return oneLine(text.endsWith("…") && sizeWords(root) !== "" ? sizeWords(root) : text, LONGEST + 1);
}
