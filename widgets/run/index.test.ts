import { afterEach, describe, expect, it, vi } from "vitest";
import widget from "./index";
import type { RunState } from "./protocol";
import { FakeModel } from "../shared/testing";
import { call, state } from "./testing";

function open(first: RunState) {
  const model = new FakeModel(first);
  const { initialize, render } = widget();
  const finalize = initialize({ model: model.asModel });
  const el = document.createElement("div");
  return { model, finalize, el, remove: render({ el }), render };
}

const announced = () => [...document.querySelectorAll(".llmkit-announcer p")].map((line) => line.textContent);

afterEach(() => document.body.replaceChildren());

describe("the run widget", () => {
  it("greets the kernel and shows what comes", async () => {
    const { model, el } = open(state());
    expect(model.sent).toEqual([{ kind: "hello" }]);
    model.deliver({ kind: "patch", seq: 1, text: "Hello", set: { status: "decoding" } });
    await vi.waitFor(() => expect(el.querySelector(".llmkit-run-answer")!.textContent!.trim()).toBe("Hello"));
  });

  it("takes the final state that is pushed at the end", async () => {
    const { model, el } = open(state({ seq: 3, text: "a" }));
    model.push(state({ seq: 9, text: "all of it", status: "done" }));
    await vi.waitFor(() => expect(el.querySelector(".llmkit-run-answer")!.textContent!.trim()).toBe("all of it"));
  });

  it("shows the same run in any number of views, each of which can go", async () => {
    const { model, el, remove, render } = open(state());
    const second = document.createElement("div");
    render({ el: second });
    remove();
    model.deliver({ kind: "patch", seq: 1, text: "Hello" });
    await vi.waitFor(() => expect(second.textContent).toContain("Hello"));
    expect(el.childElementCount).toBe(0);
  });

  it("tells the kernel when no view is left", () => {
    const { model, remove, render } = open(state());
    const removeSecond = render({ el: document.createElement("div") });
    remove();
    expect(model.sent).toEqual([{ kind: "hello" }]);
    removeSecond();
    expect(model.sent).toEqual([{ kind: "hello" }, { kind: "gone" }]);
  });

  it("announces changes of status and the finished answer, not each token", () => {
    const { model } = open(state({ model: "M" }));
    model.deliver({ kind: "patch", seq: 1, text: "**He", set: { status: "decoding" } });
    model.deliver({ kind: "patch", seq: 2, text: "llo**" });
    model.deliver({ kind: "patch", seq: 3, set: { status: "done" } });
    expect(announced()).toEqual(["M: Answering", "M: Done. Hello"]);
    expect(document.querySelector(".llmkit-announcer")!.getAttribute("aria-live")).toBe("polite");
  });

  it("announces nothing for a run that was over before", () => {
    open(state({ status: "done", text: "a" }));
    expect(announced()).toEqual([]);
  });

  it("announces each call that waits, once, with nothing hidden in it", () => {
    const waiting = call({ name: "rm\u202e" });
    const { model } = open(state({ calls: [waiting] }));
    model.deliver({ kind: "patch", seq: 1, calls: [{ id: "2", set: { ...waiting, id: "2", name: "ls", short: "" } }] });
    model.deliver({ kind: "patch", seq: 2, set: { status: "approval" } });
    expect(announced()).toEqual([
      'The model asks to call rm\\u202e with city: "Tokyo". Approve or deny?',
      "The model asks to call ls. Approve or deny?",
    ]);
  });

  it("hears that its kernel is gone", async () => {
    const { model, el } = open(state({ calls: [call()] }));
    model.tell("comm_live_update");
    await vi.waitFor(() => expect(el.textContent).toContain("The kernel was restarted"));
  });

  it("listens no more when its model goes", () => {
    const { model, finalize } = open(state());
    finalize();
    model.deliver({ kind: "patch", seq: 1, set: { status: "decoding" } });
    expect(announced()).toEqual([]);
  });
});
