import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ToKernel } from "./protocol";
import { RunStore } from "./store";
import { call, state } from "./testing";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function opened(changes = {}): { store: RunStore; sent: string[] } {
  const sent: string[] = [];
  const store = new RunStore(state(changes), (message: ToKernel) => sent.push(message.kind));
  store.open();
  return { store, sent };
}

describe("RunStore", () => {
  it("says hello", () => {
    expect(opened().sent).toEqual(["hello"]);
  });

  it("appends and replaces what a patch says", () => {
    const { store } = opened();
    store.receive({ kind: "patch", seq: 1, text: "a", reasoning: "x", set: { status: "decoding" } });
    store.receive({ kind: "patch", seq: 2, text: "b" });
    expect(store.state).toEqual(state({ seq: 2, status: "decoding", text: "ab", reasoning: "x" }));
  });

  it("drops a patch that it has seen", () => {
    const { store, sent } = opened();
    store.receive({ kind: "patch", seq: 1, text: "a" });
    store.receive({ kind: "patch", seq: 1, text: "a" });
    expect(store.state.text).toBe("a");
    expect(sent).toEqual(["hello"]);
  });

  it("asks for the state when it missed a patch, and goes on from the answer", () => {
    const { store, sent } = opened();
    store.receive({ kind: "patch", seq: 2, text: "b" });
    store.receive({ kind: "patch", seq: 3, text: "c" });
    expect(sent).toEqual(["hello", "resync"]);
    expect(store.state.text).toBe("");
    store.receive({ kind: "snapshot", state: state({ seq: 3, text: "abc" }) });
    store.receive({ kind: "patch", seq: 4, text: "d" });
    expect(store.state.text).toBe("abcd");
  });

  it("asks again when the answer got lost", () => {
    const { store, sent } = opened();
    store.receive({ kind: "patch", seq: 2, text: "b" });
    vi.advanceTimersByTime(1_100);
    store.receive({ kind: "patch", seq: 3, text: "c" });
    expect(sent).toEqual(["hello", "resync", "resync"]);
  });

  it("ignores a snapshot that is older than its state", () => {
    const { store } = opened();
    store.receive({ kind: "patch", seq: 1, text: "a" });
    store.receive({ kind: "snapshot", state: state({ seq: 0 }) });
    expect(store.state.text).toBe("a");
  });

  it("asks how a run is that fell silent, and leaves one that is over alone", () => {
    const { store, sent } = opened({ status: "decoding" });
    vi.advanceTimersByTime(16_000);
    expect(sent).toEqual(["hello", "resync"]);
    store.receive({ kind: "snapshot", state: state({ seq: 1, status: "done" }) });
    vi.advanceTimersByTime(60_000);
    expect(sent).toEqual(["hello", "resync"]);
  });

  it("tells its listeners of each change until they leave", () => {
    const { store } = opened();
    const listener = vi.fn();
    const leave = store.subscribe(listener);
    store.receive({ kind: "patch", seq: 1, text: "a" });
    leave();
    store.receive({ kind: "patch", seq: 2, text: "b" });
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("adds cards, sets their fields and appends to them", () => {
    const { store } = opened();
    const { id, ...set } = call({ status: "writing", arguments: null });
    store.receive({ kind: "patch", seq: 1, calls: [{ id, set: { id, ...set }, input: "{" }] });
    store.receive({ kind: "patch", seq: 2, calls: [{ id, set: { written: 3 }, input: "}" }] });
    expect(store.state.calls).toEqual([call({ status: "writing", arguments: null, input: "{}", written: 3 })]);
    const values = Array.from({ length: 7 }, (_, index) => ({ kind: "text", text: "", more: 0, short: `${index}` }) as const);
    store.receive({ kind: "patch", seq: 3, calls: [{ id, set: { input: "" }, preliminary: values }] });
    expect(store.state.calls[0]!.preliminary.map(({ short }) => short)).toEqual(["2", "3", "4", "5", "6"]);
    expect(store.state.calls[0]!.input).toBe("");
  });

  it("says that it is here as long as it shows something that waits", () => {
    const { store, sent } = opened({ calls: [call()] });
    const heres = () => sent.filter((kind) => kind === "here").length;
    vi.advanceTimersByTime(20_000);
    expect(heres()).toBe(0);
    store.shown();
    expect(heres()).toBe(1);
    vi.advanceTimersByTime(11_000);
    expect(heres()).toBe(3);
    store.hidden();
    vi.advanceTimersByTime(20_000);
    expect(heres()).toBe(3);
    store.shown();
    store.replace(state({ seq: 1, calls: [call({ status: "done" })] }));
    vi.advanceTimersByTime(20_000);
    expect(heres()).toBe(4);
  });

  it("is lost with its kernel until it hears from one", () => {
    const { store, sent } = opened({ calls: [call()] });
    store.shown();
    store.lose();
    vi.advanceTimersByTime(11_000);
    expect(sent.filter((kind) => kind === "here")).toHaveLength(1);
    expect(store.lost).toBe(true);
    store.receive({ kind: "snapshot", state: state({ seq: 1 }) });
    expect(store.lost).toBe(false);
  });

  it("gives a ruling to whoever asked for it, and only to them", () => {
    const { store } = opened({ calls: [call()] });
    const answer = vi.fn();
    store.receive({ kind: "ruled", call_id: "call-1", accepted: true, refusal: "" });
    store.decide({ call_id: "call-1", digest: "d1", verdict: "allow" }, answer);
    store.receive({ kind: "ruled", call_id: "call-2", accepted: true, refusal: "" });
    expect(answer).not.toHaveBeenCalled();
    store.receive({ kind: "ruled", call_id: "call-1", accepted: false, refusal: "late" });
    expect(answer).toHaveBeenCalledWith({ kind: "ruled", call_id: "call-1", accepted: false, refusal: "late" });
  });

  it("comes to the same text whatever is lost or repeated on the way", () => {
    const words = Array.from({ length: 60 }, (_, index) => `w${index} `);
    for (let round = 0; round < 20; round++) {
      const { store, sent } = opened();
      let asked = 1;
      words.forEach((text, index) => {
        vi.advanceTimersByTime(1_100);
        const fate = (index * 7 + round * 13) % 5;
        const patch = { kind: "patch", seq: index + 1, text } as const;
        if (fate !== 0) store.receive(patch);
        if (fate === 1) store.receive(patch);
        if (sent.length > asked) {
          asked = sent.length;
          store.receive({ kind: "snapshot", state: state({ seq: index + 1, text: words.slice(0, index + 1).join("") }) });
        }
      });
      store.replace(state({ seq: words.length, text: words.join(""), status: "done" }));
      expect(store.state.text).toBe(words.join(""));
      store.close();
    }
  });
});
