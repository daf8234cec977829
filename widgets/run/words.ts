// The words for a run's state.

import type { RunState } from "./protocol";

const FINISH: Record<string, string> = {
  length: "cut at the token limit",
  "content-filter": "stopped by the content filter",
  "tool-calls": "tool calls",
};

export function statusWords(state: RunState): string {
  switch (state.status) {
    case "starting":
      return "Starting";
    case "loading":
      return loadWords(state);
    case "queued":
      return state.queue_position ? `Queued, ${state.queue_position} ahead` : "Queued, next";
    case "prefill":
      return "Reading the prompt";
    case "decoding":
      return state.text === "" && state.reasoning !== "" ? "Reasoning" : "Answering";
    case "done":
      return "Done";
    case "cancelled":
      return "Cancelled";
    case "error":
      return "Failed";
  }
}

export function footerWords(state: RunState): string {
  const reason = state.finish_reason ?? "";
  return [state.stats?.summary ?? "", FINISH[reason] ?? reason].filter((part) => part !== "").join(" · ");
}

export function rateWords(rate: number | null): string {
  return rate === null ? "" : `${rate.toFixed(rate < 10 ? 1 : 0)} tokens/s`;
}

function loadWords({ load }: RunState): string {
  const what = load?.stage === "fetch" ? "Fetching" : "Loading";
  const share = load?.percentage == null ? "" : ` ${Math.floor(load.percentage)} %`;
  return `${what}${share}`;
}
