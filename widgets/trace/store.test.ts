import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ToKernel } from "./protocol";
import { TraceStore } from "./store";
import { begun, row, state } from "./testing";

function opened(first = state(begun())) {
  const sent: ToKernel[] = [];
  const store = new TraceStore(first, (message) => sent.push(message));
  store.open();
  return { store, sent };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the timeline's store", () => {
  it("says hello with what it has", () => {
    expect(opened(state([], { seq: 7 })).sent).toEqual([{ kind: "hello", seq: 7 }]);
  });

  it("takes rows that are new and rows that changed", () => {
    const { store } = opened();
    const done = { ...begun()[4]!, end: 2.5, status: "ok" as const };
    store.receive({ kind: "patch", seq: 1, now: 4, rows: [done, row(5, { start: 2.6 })] });
    expect(store.state.rows[4]).toEqual(done);
    expect(store.state.rows[5]!.start).toBe(2.6);
    expect(store.state.seq).toBe(1);
  });

  it("doesn't change the state it was given", () => {
    const first = state(begun());
    const { store } = opened(first);
    store.receive({ kind: "patch", seq: 1, now: 4, rows: [row(5)] });
    expect(first.rows.length).toBe(5);
  });

  it("drops what it has already and asks for what it missed, once", () => {
    const { store, sent } = opened(state(begun(), { seq: 5 }));
    store.receive({ kind: "patch", seq: 4, now: 9, rows: [row(5)] });
    expect(store.state.rows.length).toBe(5);
    store.receive({ kind: "patch", seq: 7, now: 9, rows: [row(5)] });
    store.receive({ kind: "patch", seq: 8, now: 9, rows: [row(6)] });
    expect(sent.slice(1)).toEqual([{ kind: "resync", seq: 5 }]);
    store.receive({ kind: "snapshot", state: state([...begun(), row(5), row(6)], { seq: 8 }) });
    expect(store.state.rows.length).toBe(7);
  });

  it("takes the time alone, when that is all there is", () => {
    const { store } = opened(state(begun(), { seq: 5, now: 1 }));
    store.receive({ kind: "patch", seq: 5, now: 9, rows: [] });
    expect(store.now).toBeCloseTo(9, 1);
  });

  it("lets time go by as long as the run goes on and its kernel is there", () => {
    const { store } = opened(state(begun(), { now: 3 }));
    vi.advanceTimersByTime(2000);
    expect(store.now).toBeCloseTo(5, 1);
    store.lose();
    vi.advanceTimersByTime(2000);
    expect(store.now).toBeCloseTo(5, 1);
    const over = opened(state([row(0, { status: "ok", end: 4 })], { now: 4 })).store;
    vi.advanceTimersByTime(2000);
    expect(over.now).toBe(4);
  });

  it("asks how it is when a run falls silent, and not when it is over", () => {
    const { sent } = opened();
    const over = opened(state([row(0, { status: "ok", end: 4 })]));
    vi.advanceTimersByTime(31_000);
    expect(sent.filter(({ kind }) => kind === "resync").length).toBe(2);
    expect(over.sent.length).toBe(1);
  });

  it("gives an answer to whoever asked, once, and none to whoever forgot", () => {
    const { store, sent } = opened();
    const [first, second] = [vi.fn(), vi.fn()];
    store.ask(4, undefined, first);
    store.ask(4, 48, second)();
    const asked = sent.slice(1) as { request_id: string }[];
    expect(asked).toMatchObject([{ kind: "details", span: 4 }, { kind: "details", span: 4, messages: 48 }]);
    for (const { request_id } of [...asked, ...asked, { request_id: "another page's" }]) {
      store.receive({ kind: "details", request_id, sections: [] });
    }
    expect(first).toHaveBeenCalledTimes(1);
    expect(second).not.toHaveBeenCalled();
  });

  it("tells the kernel when no view is left", () => {
    const { store, sent } = opened();
    store.shown();
    store.shown();
    store.hidden();
    expect(sent.length).toBe(1);
    store.hidden();
    expect(sent[1]).toEqual({ kind: "gone" });
  });
});
