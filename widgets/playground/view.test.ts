import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeModel } from "../shared/testing";
import widget from "./index";
import type { PlaygroundState } from "./protocol";
import { answer, state } from "./testing";

const HOSTILE = '<img src=x onerror="window.hacked=1">';

function open(first: PlaygroundState) {
  const model = new FakeModel(first);
  const { initialize, render } = widget();
  initialize({ model: model.asModel });
  const el = document.createElement("div");
  document.body.append(el);
  const remove = render({ el });
  const labelled = (name: string): HTMLInputElement => {
    const label = [...el.querySelectorAll("label")].find((each) => each.textContent === name)!;
    return document.getElementById(label.htmlFor) as HTMLInputElement;
  };
  const type = (name: string, text: string): void => {
    const field = labelled(name);
    field.value = text;
    field.dispatchEvent(new Event("input"));
  };
  const go = el.querySelector<HTMLButtonElement>(".llmkit-playground-go")!;
  const kinds = () => model.sent.map((message) => (message as { kind: string }).kind);
  return { model, el, remove, labelled, type, go, kinds };
}

const running = (run_id: string, text = "") => answer({ run_id, status: "decoding", text });
const entry = (id: string, status: "running" | "done" = "running") =>
  ({ id, prompt: HOSTILE, changes: "temperature 0.5", rate: 12.34, status }) as const;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

describe("the playground", () => {
  it("has a labelled control for each setting, unset at first", () => {
    const { labelled, el } = open(state());
    expect(labelled("temperature").value).toBe("");
    expect(labelled("temperature").placeholder).toBe("0.7");
    expect(labelled("seed").placeholder).toBe("unset");
    expect([...(labelled("reasoning") as unknown as HTMLSelectElement).options].map((option) => option.textContent)).toEqual([
      "unset",
      "on",
      "off",
      "as the model does",
    ]);
    const slider = el.querySelector<HTMLInputElement>("input[type=range]")!;
    expect([slider.min, slider.max, slider.value, slider.getAttribute("aria-label")]).toEqual(["0", "5", "0.7", "temperature, slider"]);
    expect(el.querySelectorAll("input[type=range]")).toHaveLength(1);
  });

  it("tells the kernel what was typed after a pause, all of it before a run", () => {
    const { model, type, go, kinds } = open(state());
    type("Prompt", "Why?");
    type("temperature", "0.5");
    type("seed", "7");
    expect(kinds()).toEqual(["hello"]);
    vi.advanceTimersByTime(200);
    expect(model.sent[1]).toMatchObject({ kind: "edit", count: 1, form: { prompt: "Why?", fields: { temperature: "0.5", seed: "7" } } });
    type("seed", "");
    go.click();
    expect(model.sent[2]).toMatchObject({ kind: "edit", count: 2, form: { fields: { seed: "" } } });
    expect(kinds().at(-1)).toBe("run");
  });

  it("keeps what is typed while older news come, and takes what others fill in", () => {
    const { model, type, labelled } = open(state());
    type("Prompt", "one");
    vi.advanceTimersByTime(200);
    const { page } = model.sent[1] as { page: string };
    type("Prompt", "one two");
    model.deliver({ kind: "patch", seq: 1, set: { form: { ...state().form, prompt: "one" }, edited: { page, count: 1 } } });
    expect(labelled("Prompt").value).toBe("one two");
    vi.advanceTimersByTime(200);
    model.deliver({ kind: "patch", seq: 2, set: { form: { ...state().form, prompt: "late" }, edited: { page, count: 1 } } });
    expect(labelled("Prompt").value).toBe("one two");
    model.deliver({ kind: "patch", seq: 3, set: { form: { ...state().form, prompt: "chosen" }, edited: { page: "", count: 3 } } });
    expect(labelled("Prompt").value).toBe("chosen");
  });

  it("sets by slider, and unsets", () => {
    const { model, el, labelled } = open(state());
    const slider = el.querySelector<HTMLInputElement>("input[type=range]")!;
    slider.value = "1.2";
    slider.dispatchEvent(new Event("input"));
    expect(labelled("temperature").value).toBe("1.2");
    el.querySelector<HTMLButtonElement>("[aria-label='Unset temperature']")!.click();
    expect(labelled("temperature").value).toBe("");
    expect(slider.value).toBe("0.7");
    vi.advanceTimersByTime(200);
    expect(model.sent.at(-1)).toMatchObject({ form: { fields: { temperature: "" } } });
  });

  it("keeps Lab's plain shortcuts from whatever has the focus, and only from that", () => {
    const { el } = open(state());
    const slider = el.querySelector<HTMLInputElement>("input[type=range]")!;
    slider.focus();
    slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    expect(slider.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    slider.dispatchEvent(new KeyboardEvent("keydown", { key: "s", ctrlKey: true, bubbles: true }));
    expect(slider.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
  });

  it("says what is wrong beside the control", () => {
    const { labelled } = open(state({ errors: { temperature: HOSTILE, prompt: "Write one." } }));
    for (const [name, text] of [["temperature", HOSTILE], ["Prompt", "Write one."]] as const) {
      const field = labelled(name);
      expect(field.getAttribute("aria-invalid")).toBe("true");
      expect(document.getElementById(field.getAttribute("aria-describedby")!)!.textContent).toBe(text);
    }
    expect(document.querySelector("img")).toBeNull();
  });

  it("runs by key, which nobody else gets, and doesn't while it runs", () => {
    const { model, labelled, go, kinds } = open(state());
    const others = vi.fn();
    document.addEventListener("keydown", others, true);
    const press = () => labelled("Prompt").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true, cancelable: true }));
    expect(press()).toBe(false);
    expect(kinds().at(-1)).toBe("run");
    expect(others).not.toHaveBeenCalled();
    model.deliver({ kind: "patch", seq: 1, set: { shown: "r1", answer: running("r1"), runs: [entry("r1")] } });
    expect(go.textContent).toBe("Stop");
    const before = kinds().filter((kind) => kind === "run").length;
    press();
    expect(kinds().filter((kind) => kind === "run")).toHaveLength(before);
    go.click();
    expect(kinds().at(-1)).toBe("stop");
    document.removeEventListener("keydown", others, true);
  });

  it("shows the answer as a run view does, and the run's part of the talk stays its own", async () => {
    const { model, el, go, kinds } = open(state());
    model.deliver({ kind: "patch", seq: 1, set: { shown: "r1", answer: running("r1", "Hel"), runs: [entry("r1")], code: "session.complete('Hi')" } });
    expect(model.sent.at(-1)).toEqual({ kind: "answer", run: "r1", message: { kind: "hello" } });
    model.deliver({ kind: "answer", run: "r1", message: { kind: "patch", seq: 1, text: "lo", set: { status: "done" } } });
    model.deliver({ kind: "answer", run: "r0", message: { kind: "patch", seq: 2, text: "no" } });
    await vi.waitFor(() => expect(el.querySelector(".llmkit-run-answer")!.textContent!.trim()).toBe("Hello"));
    expect(go.textContent).toBe("Run");
    expect(el.querySelector(".llmkit-playground-code")!.textContent).toBe("session.complete('Hi')");
    expect(kinds()).not.toContain("resync");
  });

  it("lists the runs, the latest first, and chooses one", () => {
    const { model, el } = open(state({ runs: [entry("r1", "done"), entry("r2")], shown: "r2", answer: running("r2") }));
    const rows = [...el.querySelectorAll<HTMLButtonElement>(".llmkit-playground-run")];
    expect(rows.map((row) => row.textContent)).toEqual([`${HOSTILE}temperature 0.5running`, `${HOSTILE}temperature 0.512 tokens/s`]);
    expect(rows.map((row) => row.getAttribute("aria-current"))).toEqual(["true", "false"]);
    rows[1]!.click();
    expect(model.sent.at(-1)).toEqual({ kind: "choose", run: "r1" });
    expect(document.querySelector("img")).toBeNull();
  });

  it("asks for the whole where something is missing", () => {
    const { model, kinds, labelled } = open(state());
    model.deliver({ kind: "patch", seq: 5, set: { code: "x" } });
    expect(kinds().at(-1)).toBe("resync");
    model.deliver({ kind: "snapshot", state: state({ seq: 5, form: { ...state().form, prompt: "new" } }) });
    expect(labelled("Prompt").value).toBe("new");
  });

  it("says that the kernel is gone, and that it goes itself", () => {
    const { model, go, remove, kinds, el } = open(state());
    expect(el.querySelector("style")!.textContent).toContain(".llmkit-playground-kept-abc");
    model.tell("comm_live_update");
    expect(go.disabled).toBe(true);
    remove();
    expect(kinds().at(-1)).toBe("gone");
    expect(el.childElementCount).toBe(0);
  });
});
