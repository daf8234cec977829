import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RunState, ToKernel } from "./protocol";
import { RunStore } from "./store";
import { state } from "./testing";
import { RunView } from "./view";

let sent: ToKernel[];
let store: RunStore;
let view: RunView;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
});

afterEach(() => {
  view.dispose();
  store.close();
  vi.useRealTimers();
});

function show(changes: Partial<RunState> = {}): void {
  store = new RunStore(state(changes), (message) => sent.push(message));
  view = new RunView(store);
  document.body.append(view.element);
}

function change(changes: Partial<RunState>): void {
  store.replace({ ...store.state, ...changes, seq: store.state.seq + 1 });
  vi.advanceTimersByTime(250);
}

function find(name: string): HTMLElement {
  return view.element.querySelector<HTMLElement>(`.llmkit-run-${name}`)!;
}

function button(label: string): HTMLButtonElement | undefined {
  const buttons = [...view.element.querySelectorAll("button")].filter((each) => !each.hidden);
  return buttons.find((each) => each.textContent === label);
}

const STATS = {
  summary: "12 tokens · 80.0 tokens/s",
  tokens_per_second: 80,
  time_to_first_token: 0.2,
  prompt_tokens: 5,
  cache_tokens: 0,
  generated_tokens: 12,
};

describe("RunView", () => {
  it.each<[Partial<RunState>, string]>([
    [{ status: "queued", queue_position: 2 }, "Queued, 2 ahead"],
    [{ status: "queued", queue_position: 0 }, "Queued, next"],
    [{ status: "loading", load: { stage: "fetch", percentage: 41.7, file: "a" } }, "Fetching 41 %"],
    [{ status: "loading", load: { stage: "load", percentage: null, file: "" } }, "Loading"],
    [{ status: "prefill" }, "Reading the prompt"],
    [{ status: "decoding", reasoning: "hm" }, "Reasoning"],
    [{ status: "decoding", text: "a" }, "Answering"],
    [{ status: "done" }, "Done"],
    [{ status: "cancelled" }, "Cancelled"],
    [{ status: "error" }, "Failed"],
  ])("says the status: %o", (changes, words) => {
    show(changes);
    expect(find("status").textContent).toBe(words);
  });

  it("shows model, engine, note and the live rate", () => {
    show({ status: "decoding", note: "MLX is slow here.", rate: 42.4 });
    expect(view.element.getAttribute("aria-label")).toBe("Answer of SmolLM2");
    expect([find("model"), find("engine"), find("note"), find("rate")].map((each) => each.textContent)).toEqual([
      "SmolLM2",
      "llamacpp",
      "MLX is slow here.",
      "42 tokens/s",
    ]);
  });

  it("shows text as it comes, and the stats at the end", () => {
    show();
    change({ status: "decoding", text: "Hello **wor" });
    expect(find("answer").textContent!.trim()).toBe("Hello **wor");
    expect(find("footer").hidden).toBe(true);
    change({ status: "done", text: "Hello **world**", stats: STATS, finish_reason: "length" });
    expect(find("answer").querySelector("strong")!.textContent).toBe("world");
    expect(find("footer").textContent).toBe("12 tokens · 80.0 tokens/s · cut at the token limit");
    expect(find("rate").hidden).toBe(true);
    expect(view.element.getAttribute("aria-busy")).toBe("false");
  });

  it("paints seldom when text comes often", () => {
    show();
    const painted = vi.spyOn(view as unknown as { paint: () => void }, "paint");
    for (let index = 0; index < 100; index++) {
      store.replace({ ...store.state, status: "decoding", text: `${store.state.text}word `, seq: store.state.seq + 1 });
    }
    vi.advanceTimersByTime(600);
    expect(painted).toHaveBeenCalledTimes(1);
  });

  it("shows prompt progress only when it takes a while", () => {
    show();
    change({ status: "prefill", prefill: { done: 50, total: 200, cached: 0 } });
    expect(find("bar").hidden).toBe(true);
    vi.advanceTimersByTime(200);
    expect(find("bar").hidden).toBe(false);
    expect(find("bar").getAttribute("aria-valuenow")).toBe("25");
    change({ status: "decoding", prefill: null });
    expect(find("bar").hidden).toBe(true);
  });

  it("shows that loading goes on when nobody knows how far", () => {
    show({ status: "loading", load: { stage: "load", percentage: null, file: "" } });
    expect(find("bar").hasAttribute("aria-valuenow")).toBe(false);
    expect(find("bar").classList).toContain("llmkit-run-unknown");
  });

  it("folds reasoning, and renders it once it is opened", () => {
    show({ status: "decoding", reasoning: "Let me *think*" });
    const details = find("reasoning") as HTMLDetailsElement;
    expect([details.hidden, details.open, details.querySelector("em")]).toEqual([false, false, null]);
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    expect(details.querySelector("em")!.textContent).toBe("think");
  });

  it("shows an error as text", () => {
    show({ status: "error", error: { kind: "EngineError", code: "server_error", message: "<img src=x>" } });
    expect(find("error").textContent).toBe("EngineError<img src=x>");
    expect(find("error").querySelector("img")).toBeNull();
  });

  it("stops the run once, and offers Stop only while it runs", () => {
    show({ status: "decoding", text: "a" });
    const stop = button("Stop")!;
    stop.focus();
    stop.click();
    stop.click();
    expect(sent).toEqual([{ kind: "stop" }]);
    expect(stop.textContent).toBe("Stopping…");
    change({ status: "cancelled" });
    expect(stop.hidden).toBe(true);
    expect(document.activeElement).toBe(button("Copy"));
  });

  it("copies the Markdown source", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    show({ status: "done", text: "**a**" });
    button("Copy")!.click();
    await vi.advanceTimersByTimeAsync(10);
    expect(writeText).toHaveBeenCalledWith("**a**");
    expect(button("Copied")).toBeDefined();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(button("Copy")).toBeDefined();
    vi.unstubAllGlobals();
  });

  it("copies without a clipboard object, and leaves nothing behind", async () => {
    const execCommand = vi.fn(() => true);
    Object.assign(document, { execCommand });
    show({ status: "done", text: "a" });
    button("Copy")!.click();
    await vi.advanceTimersByTimeAsync(10);
    expect(execCommand).toHaveBeenCalledWith("copy");
    expect(document.querySelector("textarea")).toBeNull();
  });

  it("leaves the page and the store when it is disposed of", () => {
    show();
    view.dispose();
    change({ text: "a" });
    expect(view.element.isConnected).toBe(false);
    expect(find("answer").textContent).toBe("");
  });
});
