import { describe, expect, it, vi } from "vitest";
import type { ToKernel } from "./protocol";
import { GridStore } from "./store";
import { state } from "./testing";

function opened() {
  const sent: ToKernel[] = [];
  const store = new GridStore(state({ topic: ["a", "b"] }), (message) => sent.push(message));
  return { store, sent };
}

describe("the grid's store", () => {
  it("applies patches in order and says which cells they are about", () => {
    const { store } = opened();
    const changed: unknown[] = [];
    store.subscribe((cells) => changed.push(cells));
    store.receive({ kind: "patch", seq: 1, cells: [{ cell: 1, set: { status: "decoding" }, text: "one " }] });
    store.receive({ kind: "patch", seq: 2, cells: [{ cell: 1, text: "two" }], set: { progress: { ...store.state.progress, done: 1 } } });
    expect(store.state.cells[1]).toMatchObject({ status: "decoding", text: "one two" });
    expect(store.state.progress.done).toBe(1);
    expect(changed).toEqual([new Set([1]), new Set([1])]);
  });

  it("sets before it appends, so that a cell can begin anew in one patch", () => {
    const { store } = opened();
    store.receive({ kind: "patch", seq: 1, cells: [{ cell: 0, text: "old" }] });
    store.receive({ kind: "patch", seq: 2, cells: [{ cell: 0, set: { text: "", again: 1 }, text: "new" }] });
    expect(store.state.cells[0]!.text).toBe("new");
  });

  it("ignores what it has and asks once when it missed something", () => {
    const { store, sent } = opened();
    store.receive({ kind: "patch", seq: 1, cells: [{ cell: 0, text: "a" }] });
    store.receive({ kind: "patch", seq: 1, cells: [{ cell: 0, text: "a" }] });
    store.receive({ kind: "patch", seq: 3, cells: [{ cell: 0, text: "c" }] });
    store.receive({ kind: "patch", seq: 4, cells: [{ cell: 0, text: "d" }] });
    expect(store.state.cells[0]!.text).toBe("a");
    expect(sent).toEqual([{ kind: "resync" }]);
    const whole = state({ topic: ["a", "b"] }, { seq: 4 });
    whole.cells[0]!.text = "abcd";
    store.receive({ kind: "snapshot", state: whole });
    expect(store.state.cells[0]!.text).toBe("abcd");
  });

  it("asks how a silent comparison is, but not one that has ended", () => {
    vi.useFakeTimers();
    const { store, sent } = opened();
    store.open();
    vi.advanceTimersByTime(16_000);
    expect(sent).toEqual([{ kind: "hello" }, { kind: "resync" }]);
    store.replace({ ...store.state, progress: { ...store.state.progress, done: 2 } });
    vi.advanceTimersByTime(60_000);
    expect(sent).toHaveLength(2);
    vi.useRealTimers();
  });

  it("holds the grid as long as there is any reason to", () => {
    const { store, sent } = opened();
    store.hold("use", true);
    store.hold("dialog", true);
    store.hold("use", false);
    store.hold("dialog", false);
    expect(sent).toEqual([{ kind: "hold", held: true }, { kind: "hold", held: false }]);
  });

  it("hears of judging only what is meant for this page", () => {
    const { store, sent } = opened();
    const heard: unknown[] = [];
    store.judge("topic", (message) => heard.push(message));
    const { page } = sent[0] as { page: string };
    store.receive({ kind: "problem", page: "another", message: "no" });
    store.receive({ kind: "problem", page, message: "yes" });
    expect(heard).toEqual([{ kind: "problem", page, message: "yes" }]);
  });
});
