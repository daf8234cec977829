import { afterEach, describe, expect, it } from "vitest";
import { FakeModel } from "../shared/testing";
import index from "./index";
import type { Lane, LaneChange, TokensState } from "./protocol";
import { lane, state, token } from "./testing";
import { laneTitle, level, percent } from "./words";

const HOSTILE = '<img src=x onerror="window.hacked = 1">';

let end = (): void => undefined;
afterEach(() => {
  end();
  document.body.replaceChildren();
});

function opened(initial: TokensState) {
  const model = new FakeModel(initial);
  const widget = index();
  const el = document.createElement("div");
  document.body.append(el);
  const ends = [widget.initialize({ model: model.asModel } as never), widget.render({ el } as never)];
  end = () => ends.reverse().forEach((each) => each());
  const all = (name: string) => [...el.querySelectorAll<HTMLElement>(`.llmkit-tokens-${name}`)];
  const press = (key: string) =>
    document.activeElement!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const sent = () => model.sent.filter((message) => (message as { kind: string }).kind !== "hello");
  return { model, el, all, press, sent };
}

function change(number: number, sent: number, whole: Lane): LaneChange {
  return { ...whole, number, sent, tokens: whole.tokens.slice(sent) };
}

describe("the token view", () => {
  it("shows tokens as text, with a level and words for a screen reader", () => {
    const { all } = opened(state(lane([HOSTILE, "⏎\n"])));
    const [first, second] = all("token");
    expect([first!.textContent, first!.childElementCount, first!.dataset.level]).toEqual([HOSTILE, 0, "1"]);
    expect(second!.getAttribute("aria-label")).toBe("⏎, 60 %, 1.2 bits");
  });

  it("colours by entropy when asked, and says which in the legend", () => {
    const { all } = opened(state({ ...lane(["a"]), tokens: [token("a", { p: 0.01, bits: 0.1 })] }));
    expect([all("token")[0]!.dataset.level, all("key")[0]!.textContent]).toEqual(["4", "≥ 90 %"]);
    all("switch")[1]!.click();
    expect([all("token")[0]!.dataset.level, all("key")[0]!.textContent]).toEqual(["0", "< 0.5 bits"]);
    expect(all("switch").map((each) => each.getAttribute("aria-pressed"))).toEqual(["false", "true"]);
  });

  it("walks from token to token, opens the alternatives, and branches, by keyboard alone", () => {
    const { all, press, sent } = opened(state(lane(["a", "b", "c"])));
    all("token")[0]!.focus();
    press("ArrowRight");
    expect(document.activeElement).toBe(all("token")[1]);
    press("Enter");
    expect(all("popup")[0]!.hidden).toBe(false);
    expect(all("row").map((row) => row.textContent)).toEqual(["b60 %", "other30 %", "all others10 %"]);
    press("ArrowDown");
    press("ArrowDown");
    press("Enter");
    expect(sent()).toEqual([{ kind: "branch", lane: 0, token: 1, id: 90 }]);
    expect(all("popup")[0]!.hidden).toBe(true);
    press("End");
    press("Enter");
    press("Escape");
    expect([document.activeElement, all("popup")[0]!.hidden]).toEqual([all("token")[2], true]);
  });

  it("branches by a click on an alternative, not while the run goes on", () => {
    const { all, sent, model } = opened(state(lane(["a", "b"], { branching: false, status: "running" })));
    all("token")[1]!.click();
    all("row")[1]!.click();
    expect(sent()).toEqual([]);
    model.deliver({ kind: "patch", seq: 2, lanes: [change(0, 2, lane(["a", "b"]))] });
    all("token")[0]!.click();
    all("row")[1]!.click();
    expect(sent()).toEqual([{ kind: "branch", lane: 0, token: 0, id: 90 }]);
  });

  it("grows by patches, puts each branch after its origin, and marks what is its own", () => {
    const { all, model } = opened(state(lane(["a", "b", "c"])));
    const fields: Partial<Lane> = { parent: 0, at: 1, own: 1, token: "x", share: 0.3, changed: [[1, 2]] };
    const other = lane(["a", "x"], fields);
    const second = lane(["z"], { parent: 0, at: 0, own: 0 });
    model.deliver({ kind: "patch", seq: 2, lanes: [change(1, 0, other), change(2, 0, second)] });
    model.deliver({ kind: "patch", seq: 3, lanes: [change(3, 0, lane(["a", "x", "d"], { parent: 1, at: 2, own: 2 }))] });
    model.deliver({ kind: "patch", seq: 4, lanes: [change(1, 2, lane(["a", "x", "c"], fields))] });
    expect(all("title").map((title) => title.textContent)).toEqual([
      "model",
      "token 1: “x” 30 %",
      "drawn anew from token 2",
      "drawn anew from token 0",
    ]);
    const words = all("words")[1]!.querySelectorAll<HTMLElement>(".llmkit-tokens-token");
    expect([...words].map(({ dataset }) => [dataset.shared, dataset.same])).toEqual([
      ["true", "false"],
      ["false", "false"],
      ["false", "true"],
    ]);
  });

  it("asks for the state when it missed a message, and takes it", () => {
    const { all, model, sent } = opened(state(lane(["a"])));
    model.deliver({ kind: "patch", seq: 5, lanes: [change(0, 3, lane(["a", "b", "c", "d"]))] });
    expect(sent()).toEqual([{ kind: "resync" }]);
    model.deliver({ kind: "snapshot", state: { ...state(lane(["a", "b", "c", "d"])), seq: 5 } });
    expect(all("token")).toHaveLength(4);
  });

  it("folds what a branch shares long before it leaves", () => {
    const texts = Array.from({ length: 40 }, (_, at) => `w${at}`);
    const { all } = opened(state(lane(texts), lane(texts, { parent: 0, at: 30, own: 30 })));
    const shown = () => [...all("words")[1]!.querySelectorAll<HTMLElement>(".llmkit-tokens-token")].filter((each) => !each.hidden);
    expect(shown()[0]!.textContent).toBe("w18");
    all("unfold")[1]!.click();
    expect(shown()).toHaveLength(40);
  });

  it("says why it can't branch, and when the kernel is gone", () => {
    const { all, model, sent } = opened(state(lane(["a"])));
    model.deliver({ kind: "refused", text: HOSTILE });
    expect([all("notice")[0]!.textContent, all("notice")[0]!.childElementCount]).toEqual([HOSTILE, 0]);
    model.tell("comm_live_update");
    all("token")[0]!.click();
    all("row")[1]!.click();
    expect(all("notice")[0]!.textContent).toContain("kernel is gone");
    expect(sent()).toEqual([]);
  });

  it("stops a run, and has itself replaced by static output", () => {
    const { all, sent } = opened(state(lane(["a"], { status: "running", branching: false })));
    all("stop")[0]!.click();
    all("switch")[1]!.click();
    all("keep")[0]!.click();
    expect(sent()).toEqual([{ kind: "stop", lane: 0 }, { kind: "keep", by: "entropy" }]);
  });
});

describe("words", () => {
  it("agree with those of the static form", () => {
    expect([0.95, 0.5, 0.3, 0.1, 0.01, null].map((p) => level(token("a", { p }), "probability"))).toEqual([0, 1, 2, 3, 4, -1]);
    expect([0.2, 0.5, 3.5].map((bits) => level(token("a", { bits }), "entropy"))).toEqual([0, 1, 4]);
    expect([null, 1, 0.9999, 0.00001, 0.123].map(percent)).toEqual(["?", "100 %", "> 99.9 %", "< 0.1 %", "12 %"]);
    expect(laneTitle(lane([], { parent: 0, at: 3, token: "␣", share: null }))).toBe("token 3: “␣” ?");
  });
});
