import { afterEach, describe, expect, it, vi } from "vitest";
import { FakeModel } from "../shared/testing";
import widget from "./index";
import { state } from "./testing";

afterEach(() => document.body.replaceChildren());

describe("the grid's widget", () => {
  it("greets the kernel, shows what comes, says aloud how it ended, and tells when it goes", async () => {
    const model = new FakeModel(state({ topic: ["a", "b"] }));
    const { initialize, render } = widget();
    const finalize = initialize({ model: model.asModel });
    const el = document.createElement("div");
    document.body.append(el);
    const remove = render({ el });
    expect(model.sent).toEqual([{ kind: "hello" }]);
    const error = { kind: "EngineError", code: "engine", message: "No memory left." };
    const progress = { ...model.get().progress, done: 2, failed: 1 };
    const cells = [
      { cell: 0, set: { status: "done" }, text: "An answer." },
      { cell: 1, set: { status: "error", error } },
    ];
    model.deliver({ kind: "patch", seq: 1, set: { progress }, cells });
    await vi.waitFor(() => expect(el.textContent).toContain("An answer."));
    expect(el.textContent).toContain("2 of 2 done · 1 failed");
    const said = document.querySelector(".llmkit-announcer")!.textContent;
    expect(said).toContain("A cell failed. No memory left.");
    expect(said).toContain("Comparison: 2 of 2 done");
    remove();
    expect(model.sent.at(-1)).toEqual({ kind: "gone" });
    finalize();
  });

  it("shows that the kernel was restarted, and offers nothing that it couldn't do", async () => {
    const model = new FakeModel(state({ topic: ["a", "b"] }));
    const { initialize, render } = widget();
    initialize({ model: model.asModel });
    const el = document.createElement("div");
    document.body.append(el);
    render({ el });
    model.tell("comm_live_update");
    await vi.waitFor(() => expect(el.textContent).toContain("the kernel was restarted"));
    const offered = [...el.querySelectorAll("button")].filter((each) => !each.hidden).map((each) => each.textContent);
    expect(offered).not.toContain("Stop");
    expect(offered).not.toContain("Stop all");
    expect(offered).not.toContain("Judge…");
  });
});
