import { afterEach, describe, expect, it, vi } from "vitest";
import type { AnyModel } from "@anywidget/types";
import { FakeModel } from "../shared/testing";
import widget from "./index";
import type { TraceState } from "./protocol";
import { begun, row, state } from "./testing";

function open(first: TraceState) {
  const model = new FakeModel(first);
  const { initialize, render } = widget();
  const finalize = initialize({ model: model as unknown as AnyModel<{ state: TraceState }> });
  const el = document.createElement("div");
  document.body.append(el);
  return { model, finalize, el, remove: render({ el }), render };
}

afterEach(() => document.body.replaceChildren());

describe("the timeline's widget", () => {
  it("greets the kernel and shows what comes", async () => {
    const { model, el } = open(state([]));
    expect(model.sent).toEqual([{ kind: "hello", seq: 0 }]);
    model.tell("msg:custom", { kind: "patch", seq: 1, now: 1, rows: begun() });
    await vi.waitFor(() => expect(el.textContent).toContain("tool · get_weather"));
  });

  it("takes the final state that is pushed at the end", async () => {
    const { model, el } = open(state(begun(), { seq: 3 }));
    model.push(state([row(0, { end: 2, status: "ok" })], { seq: 9 }));
    await vi.waitFor(() => expect(el.textContent).toContain("Done"));
  });

  it("shows the same run in any number of views, and tells the kernel when none is left", () => {
    const { model, el, remove, render } = open(state(begun()));
    const second = document.createElement("div");
    const removeSecond = render({ el: second });
    remove();
    expect(el.childElementCount).toBe(0);
    expect(second.textContent).toContain("decode");
    expect(model.sent.length).toBe(1);
    removeSecond();
    expect(model.sent.at(-1)).toEqual({ kind: "gone" });
  });

  it("hears that its kernel is gone, and listens no more when its model goes", async () => {
    const { model, el, finalize } = open(state(begun()));
    model.tell("comm_live_update");
    await vi.waitFor(() => expect(el.textContent).toContain("Lost"));
    finalize();
    model.tell("msg:custom", { kind: "patch", seq: 1, now: 1, rows: [row(5, { label: "late" })] });
    expect(el.textContent).not.toContain("late");
  });
});
