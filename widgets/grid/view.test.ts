import { afterEach, describe, expect, it, vi } from "vitest";
import type { GridState, ToKernel } from "./protocol";
import { GridStore } from "./store";
import { answered, numbered, state } from "./testing";
import { GridView } from "./view";

const HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script> \u202e';

function open(first: GridState) {
  const sent: ToKernel[] = [];
  const store = new GridStore(first, (message) => sent.push(message));
  const view = new GridView(store);
  document.body.append(view.element);
  return { view, store, sent, el: view.element };
}

const cells = (el: HTMLElement): HTMLElement[] => [...el.querySelectorAll<HTMLElement>("[role=gridcell]")];
const press = (key: string, init: KeyboardEventInit = {}): boolean =>
  document.activeElement!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init }));
const focused = (): string | undefined => (document.activeElement as HTMLElement).dataset["cell"];
const dialog = (): HTMLElement | null => document.querySelector("dialog");

afterEach(() => document.body.replaceChildren());

describe("the grid", () => {
  it("has content for the cells in sight only, and for all others when they are scrolled to", async () => {
    const { el } = open(answered({ topic: numbered("topic", 20), seed: numbered("seed", 20) }, (index) => `text ${index}`));
    expect(cells(el).length).toBeLessThan(40);
    expect(el.querySelector("[role=grid]")!.getAttribute("aria-rowcount")).toBe("21");
    const scroller = el.querySelector<HTMLElement>("[role=grid]")!;
    scroller.scrollTop = 1e6;
    scroller.scrollTop = 17 * 178;
    scroller.scrollLeft = 18 * 250;
    scroller.dispatchEvent(new Event("scroll"));
    await vi.waitFor(() => expect(el.textContent).toContain("text 399"));
    expect(cells(el).length).toBeLessThan(40);
    expect(el.textContent).toContain("topic 19");
    expect(el.textContent).toContain("seed 19");
  });

  it("streams text into the cells that it is for", async () => {
    const { el, store } = open(state({ topic: ["a", "b"] }));
    store.receive({ kind: "patch", seq: 1, cells: [{ cell: 1, set: { status: "decoding" }, text: "**bold** and" }] });
    await vi.waitFor(() => expect(cells(el)[1]!.querySelector("strong")!.textContent).toBe("bold"));
    store.receive({ kind: "patch", seq: 2, cells: [{ cell: 1, set: { status: "done", rate: 41.7, time_to_first_token: 0.2 }, text: " more" }] });
    await vi.waitFor(() => expect(cells(el)[1]!.textContent).toContain("bold and more"));
    expect(cells(el)[1]!.textContent).toContain("42 t/s · 200 ms first");
    expect(cells(el)[0]!.textContent).not.toContain("bold");
  });

  it("lets factors make rows or columns", () => {
    const { el } = open(answered({ topic: ["gravity", "DNA"], temperature: ["0", "0.8"], model: ["only"] }, String));
    const heads = (): string[] => [...el.querySelectorAll("[role=columnheader]")].map((head) => head.textContent!);
    expect(heads()).toEqual(["temperature0", "temperature0.8"]);
    expect(el.textContent).toContain("model only");
    el.querySelector<HTMLElement>("[data-factor='0']")!.click();
    expect(heads()).toEqual(["temperature0", "temperature0.8", "topicgravity", "topicDNA", "topicgravity", "topicDNA"]);
    expect(el.querySelectorAll("[role=rowheader]")).toHaveLength(0);
    expect(cells(el).map((each) => each.getAttribute("aria-colindex"))).toEqual(["1", "2", "3", "4"]);
    el.querySelector<HTMLElement>("[title^='Swap']")!.click();
    expect(el.querySelectorAll("[role=rowheader]")).toHaveLength(8);
  });

  it("shows hostile texts and labels as text", () => {
    const made = answered({ [HOSTILE]: [HOSTILE, "2"], other: ["1", HOSTILE] }, () => HOSTILE);
    Object.assign(made.cells[3]!, { status: "error", error: { kind: HOSTILE, code: "x", message: HOSTILE }, calls: [HOSTILE], scores: { [HOSTILE]: 1 } });
    const { el, store } = open(made);
    cells(el)[0]!.focus();
    press("Enter");
    expect(document.querySelector("img, script")).toBeNull();
    press("Escape");
    press("d");
    press("ArrowRight");
    press("d");
    expect(dialog()!.textContent).toContain("<img");
    press("Escape");
    store.receive({ kind: "patch", seq: 1, cells: [{ cell: 0, set: { text: HOSTILE.repeat(2) } }] });
    expect(document.querySelector("img, script")).toBeNull();
    expect(document.body.textContent).toContain("\\u202e");
  });
});

describe("the keyboard", () => {
  const many = (): GridState => answered({ topic: numbered("topic", 30), seed: numbered("seed", 30) }, (index) => `text ${index}`);

  it("moves from cell to cell, also to those out of sight", () => {
    const { el } = open(many());
    expect(cells(el).filter((each) => each.tabIndex === 0)).toHaveLength(1);
    cells(el)[0]!.focus();
    press("ArrowDown");
    expect(focused()).toBe("30");
    press("End");
    expect(focused()).toBe("59");
    press("End", { ctrlKey: true });
    expect(focused()).toBe("899");
    press("ArrowRight");
    expect(focused()).toBe("899");
    press("PageUp");
    press("Home", { ctrlKey: true });
    expect(focused()).toBe("0");
    expect(cells(el).filter((each) => each.tabIndex === 0)).toHaveLength(1);
  });

  it("keeps the cell with the focus when it is scrolled out of sight", async () => {
    const { el } = open(many());
    cells(el)[0]!.focus();
    const scroller = el.querySelector<HTMLElement>("[role=grid]")!;
    scroller.scrollTop = 20 * 178;
    scroller.dispatchEvent(new Event("scroll"));
    await vi.waitFor(() => expect(el.textContent).toContain("topic 20"));
    expect(focused()).toBe("0");
    press("ArrowDown");
    expect(focused()).toBe("30");
  });

  it("stops, asks again, opens and closes", () => {
    const made = answered({ topic: ["a", "b", "c"] }, (index) => `text ${index}`);
    made.cells[0]!.status = "decoding";
    made.progress.done = 2;
    const { el, sent } = open(made);
    cells(el)[0]!.focus();
    press("s");
    press("r");
    press("ArrowDown");
    press("s");
    press("r");
    const asked = sent.filter(({ kind }) => kind !== "hold");
    expect(asked).toEqual([{ kind: "stop", cell: 0 }, { kind: "rerun", cell: 1 }]);
    press("Enter");
    expect(dialog()!.textContent).toContain("text 1");
    expect(dialog()!.textContent).toContain("Why is the sky blue?");
    press("ArrowRight");
    expect(dialog()!.textContent).toContain("text 2");
    press("Escape");
    expect(dialog()).toBeNull();
    expect(focused()).toBe("1");
  });

  it("compares two cells word by word, and forgets the first on Escape", () => {
    const { el } = open(answered({ topic: ["a", "b", "c"] }, (index) => `the ${["quick", "slow", "old"][index]} fox`));
    cells(el)[2]!.focus();
    press("d");
    press("Escape");
    press("ArrowUp");
    press("d");
    expect(cells(el)[1]!.getAttribute("aria-selected")).toBe("true");
    press("ArrowUp");
    press("d");
    expect(dialog()!.querySelector("del")!.textContent).toBe("slow");
    expect(dialog()!.querySelector("ins")!.textContent).toBe("quick");
    press("Escape");
    expect(cells(el)[1]!.getAttribute("aria-selected")).toBe("false");
  });
});

describe("judging", () => {
  it("shows two texts without their labels, takes 1, 2 and 0, and tells at the end", () => {
    const { el, sent, store } = open(answered({ temperature: ["0", "0.8"] }, (index) => `text ${index}`));
    [...el.querySelectorAll("button")].find((each) => each.textContent === "Judge…")!.click();
    const { page } = sent.find(({ kind }) => kind === "judge") as { page: string };
    const pair = { id: 7, left: "**left** text", right: HOSTILE, prompt: HOSTILE, same: { topic: HOSTILE } };
    store.receive({ kind: "pair", page, pair, done: 0, total: 2 });
    expect(dialog()!.textContent).toContain("left text");
    expect(dialog()!.textContent).not.toContain("0.8");
    expect(dialog()!.querySelector("img, script")).toBeNull();
    press("1");
    store.receive({ kind: "pair", page, pair: { ...pair, id: 8 }, done: 1, total: 2 });
    press("0");
    press("s");
    expect(sent.filter(({ kind }) => kind === "vote" || kind === "skip")).toEqual([
      { kind: "vote", page, pair: 7, verdict: "left" },
      { kind: "vote", page, pair: 8, verdict: "tie" },
      { kind: "skip", page, pair: 8 },
    ]);
    store.receive({ kind: "tally", page, levels: [{ label: "0.8", wins: 1, losses: 0, ties: 1 }], total: 2 });
    expect(dialog()!.textContent).toContain("0.8");
    press("1");
    expect(sent.filter(({ kind }) => kind === "vote")).toHaveLength(2);
    press("Escape");
    expect(sent.filter(({ kind }) => kind === "hold")).toEqual([{ kind: "hold", held: true }]);
  });
});
