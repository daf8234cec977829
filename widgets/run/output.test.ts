import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { announceChanges } from "./announce";
import type { OutputAsked, RunState } from "./protocol";
import { RunStore } from "./store";
import { call, state } from "./testing";
import { RunView } from "./view";

const ERROR = { kind: "OutputError", code: "invalid_output", message: "The answer was cut off before it was whole." };

let store: RunStore;
let view: RunView;
let quiet: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  document.body.replaceChildren();
});

afterEach(() => {
  quiet();
  view.dispose();
  store.close();
  vi.useRealTimers();
});

function show(kind: OutputAsked["kind"], changes: Partial<RunState> = {}): void {
  store = new RunStore(state({ status: "decoding", output: { kind, from: 0 }, ...changes }), () => undefined);
  quiet = announceChanges(store);
  view = new RunView(store);
  document.body.append(view.element);
}

function come(text: string, set: Partial<RunState> = {}): void {
  store.receive({ kind: "patch", seq: store.state.seq + 1, text, set });
  vi.advanceTimersByTime(500);
}

const find = (selector: string) => view.element.querySelector<HTMLElement>(selector);
const read = (selector: string) => find(selector)?.textContent;
const button = (label: string) => [...view.element.querySelectorAll("button")].find((each) => each.textContent === label)!;
const said = () => [...document.querySelectorAll(".llmkit-announcer p")].map((line) => line.textContent);

describe("a run with an output", () => {
  it("shows an array of objects as a table, from its first row on, and another value as a tree", () => {
    show("array");
    come('[');
    expect(find("table")).toBeNull();
    come('{"a": 1}, {"a"');
    expect(read("tbody tr[data-index='1']")).toBe("1");
    come(': 2}, "no record"]');
    expect(find("table")).toBeNull();
    expect(find("[role=tree]")).not.toBeNull();
  });

  it("shows the text of choices, patterns and grammars letter by letter", () => {
    show("choice");
    come("**pos");
    come("itive**");
    expect(read("pre.llmkit-run-letters")).toBe("**positive**");
    expect(find("strong")).toBeNull();
    expect(button("JSON").hidden).toBe(true);
  });

  it("shows the JSON text on demand, and copies it", async () => {
    const copied = vi.fn<(text: string) => Promise<void>>(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText: copied } });
    show("json");
    come('{"a": "<b>');
    button("JSON").click();
    expect(read("pre.llmkit-run-letters")).toBe('{"a": "<b>');
    expect(button("JSON").getAttribute("aria-pressed")).toBe("true");
    come('"}');
    expect(read("pre.llmkit-run-letters")).toBe('{"a": "<b>"}');
    button("Copy").click();
    expect(copied).toHaveBeenCalledWith('{"a": "<b>"}');
    button("JSON").click();
    expect(read("[role=tree]")).toContain('a"<b>"');
    vi.unstubAllGlobals();
  });

  it("shows what should be JSON and isn't like any other answer", () => {
    show("json");
    come("Sure! *Here*");
    expect(read("em")).toBe("Here");
    expect(button("JSON").hidden).toBe(true);
  });

  it("says where JSON ends and something else follows", () => {
    show("json");
    come('{"a": 1} And so on');
    expect(read("[role=tree]")).toContain("a1");
    expect(read(".llmkit-run-output")).toContain("What follows isn't JSON");
  });

  it("shows text and calls of earlier steps as ever, and the last step's answer as a value", () => {
    show("json");
    come("I *look*.");
    store.receive({ kind: "patch", seq: 2, calls: [{ id: "call-1", set: call({ at: 9, status: "done" }) }] });
    come("\n\n", { output: { kind: "json", from: 11 } });
    come('{"warm": true}', { status: "done" });
    expect(read("em")).toBe("look");
    expect(read("[role=tree]")).toContain("warmtrue");
    const order = [...find(".llmkit-run-body")!.children].map((each) => each.className);
    expect(order.findIndex((name) => name.includes("card"))).toBeLessThan(order.findIndex((name) => name.includes("output")));
  });

  it("says plainly that the answer was cut, and where", () => {
    show("array");
    come('[{"a": 1}, {"a": "x', { status: "done", finish_reason: "length", output_error: ERROR });
    expect(read(".llmkit-run-status")).toBe("Cut off");
    expect(read(".llmkit-run-error")).toBe("OutputErrorThe answer was cut off before it was whole.");
    expect(find("tr[data-cut]")!.dataset["index"]).toBe("1");
    expect(said()).toEqual(["SmolLM2: Cut off. The answer was cut off before it was whole."]);
  });

  it("counts rows aloud now and then, and says at the end how many there are", () => {
    show("array");
    come("[");
    for (let row = 0; row < 30; row++) come('{"a": 1},');
    come("{}]", { status: "done" });
    expect(said()).toEqual(["10 rows so far", "20 rows so far", "30 rows so far", "SmolLM2: Done. 31 rows"]);
  });

  it("reads out a short value, and of a long one only how large it is", () => {
    show("json");
    come('{"a": [1, "b"]}', { status: "done" });
    expect(said()).toEqual(['SmolLM2: Done. {"a": [1, "b"]}']);
    document.querySelector(".llmkit-announcer")!.replaceChildren();
    show("json");
    come(JSON.stringify({ a: "x".repeat(500), b: 1 }), { status: "done" });
    expect(said().at(-1)).toBe("SmolLM2: Done. 2 keys");
  });

  it("takes a whole state that comes in between", () => {
    show("json");
    come('{"a": 1');
    store.replace({ ...store.state, seq: 9, text: '{"a": 1, "b": [2]}', status: "done" });
    vi.advanceTimersByTime(500);
    expect(read("[role=tree]")).toBe("2 keysa1b1 item02");
  });
});
