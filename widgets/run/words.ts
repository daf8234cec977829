// The words for a run's state and for its calls.

import { pending, type Call, type CallStatus, type DecisionMade, type RunState } from "./protocol";
import { oneLine } from "../shared/visible";

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
    case "approval":
      return waitingWords(pending(state).length);
    case "tools":
      return "Running tools";
    case "done":
      return doneWords(state);
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

function doneWords({ output_error, finish_reason }: RunState): string {
  if (output_error === null) return "Done";
  return finish_reason === "length" ? "Cut off" : "Not what was asked for";
}

function waitingWords(count: number): string {
  return count > 1 ? `Waiting for you: ${count} calls` : "Waiting for you";
}

const CALL: Record<CallStatus, string> = {
  writing: "being written",
  made: "",
  pending: "",
  allowed: "starting",
  running: "running",
  done: "",
  failed: "failed",
  denied: "denied",
  cancelled: "cancelled",
  open: "left open",
  invalid: "no valid call",
};

/** A call's state in a word or two, unless the decision says it better. */
export function callWords({ status, decision }: Call): string {
  const decided = decision !== null && decision.by !== "tool";
  return decided && (status === "denied" || status === "cancelled" || status === "open") ? "" : CALL[status];
}

export function callMark({ status }: Call): string {
  if (status === "done") return "✓";
  if (status === "failed" || status === "invalid") return "✗";
  return status === "denied" || status === "cancelled" ? "⊘" : "●";
}

const VERDICTS = { allow: "allowed", deny: "denied", pend: "left open", cancel: "cancelled" };
const BY: Record<DecisionMade["by"], string> = {
  panel: "by you",
  code: "by code",
  rule: "by a rule",
  tool: "",
  timeout: "because nobody answered in time",
  headless: "because nobody was there to ask",
  cancel: "with the run",
};

/** The others' reasons say again what their words do. */
const REASONED = new Set<DecisionMade["by"]>(["panel", "code", "rule"]);

/** Who or what decided on a call; nothing for one that needed no decision. */
export function decisionWords({ decision }: Call): string {
  if (decision === null || decision.by === "tool") return "";
  return `${VERDICTS[decision.verdict]} ${BY[decision.by]}${decision.edited ? ", edited" : ""}`;
}

/** Why somebody denied a call, in short, to follow the decision's words. */
export function reasonWords({ decision }: Call): string {
  const own = decision?.verdict === "deny" && REASONED.has(decision.by);
  return own && decision.reason !== "" ? `: ${oneLine(decision.reason, 120)}` : "";
}

/** What a call came to, in short. */
export function resultWords({ result, error, preliminary, status }: Call): string {
  if (error !== null) return oneLine(`${error.kind}: ${error.message}`, 120);
  const value = result ?? (status === "running" ? preliminary.at(-1) : undefined);
  return value === undefined ? "" : oneLine(value.short, 120);
}

function loadWords({ load }: RunState): string {
  const what = load?.stage === "fetch" ? "Fetching" : "Loading";
  const share = load?.percentage == null ? "" : ` ${Math.floor(load.percentage)} %`;
  return `${what}${share}`;
}
