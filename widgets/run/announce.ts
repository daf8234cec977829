// What a screen reader hears: each change of status, each call to decide on, and the finished answer; not each token.

import { render } from "./markdown";
import { isOver, pending, type Call, type RunState, type Status } from "./protocol";
import type { RunStore } from "./store";
import { oneLine } from "../shared/visible";
import { statusWords } from "./words";

const KEEP = 30_000;
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
  announceCalls();
  return store.subscribe(() => {
    const { state } = store;
    announceCalls();
    if (state.status === status) return;
    status = state.status;
    if (!UNSAID.has(status)) announce(sentence(state));
  });
}

function question({ name, short }: Call): string {
  return `The model asks to call ${oneLine(name, 80)}${short === "" ? "" : ` with ${short}`}. Approve or deny?`;
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
