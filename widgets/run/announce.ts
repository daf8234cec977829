// What a screen reader hears: each change of status and the finished answer, not each token.

import { render } from "./markdown";
import { isOver, type RunState } from "./protocol";
import type { RunStore } from "./store";
import { statusWords } from "./words";

const KEEP = 30_000;

/** Announce what becomes of the run; return a function that stops it. */
export function announceChanges(store: RunStore): () => void {
  let status = store.state.status;
  return store.subscribe(() => {
    const { state } = store;
    if (state.status === status) return;
    status = state.status;
    if (status !== "starting" && status !== "prefill") announce(sentence(state));
  });
}

function sentence(state: RunState): string {
  if (!isOver(state.status)) return `${state.model}: ${statusWords(state)}`;
  const rest = state.error?.message ?? render(state.text).textContent.trim();
  return `${state.model}: ${statusWords(state)}. ${rest}`;
}

/** One live region for the page, outside the output: a finished run's output is replaced while it is being read. */
function announce(text: string): void {
  const line = document.createElement("p");
  line.textContent = text;
  region().append(line);
  setTimeout(() => line.remove(), KEEP);
}

function region(): HTMLElement {
  const there = document.querySelector<HTMLElement>(".llmkit-announcer");
  if (there !== null) return there;
  const region = document.createElement("div");
  region.className = "llmkit-announcer";
  region.setAttribute("role", "log");
  region.setAttribute("aria-live", "polite");
  document.body.append(region);
  return region;
}
