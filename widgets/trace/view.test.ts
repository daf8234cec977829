import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Row, Section, ToKernel } from "./protocol";
import { TraceStore } from "./store";
import { begun, long, row, state } from "./testing";
import { TraceView } from "./view";

const HOSTILE = ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "&amp;\u202egnp.exe", "]]>\u0000\u001b[31m"];

function open(rows: Row[] = begun()) {
  const sent: ToKernel[] = [];
  const store = new TraceStore(state(rows), (message) => sent.push(message));
  const view = new TraceView(store);
  document.body.append(view.element);
  store.shown();
  const patch = (...changed: Row[]): void => {
    store.receive({ kind: "patch", seq: store.state.seq + 1, now: store.state.now, rows: changed });
    vi.advanceTimersByTime(300);
  };
  const asked = () => sent.filter((message) => message.kind === "details");
  const answer = (sections: Section[]): void => {
    store.receive({ kind: "details", request_id: asked().at(-1)!.request_id, sections });
  };
  return { store, view, sent, patch, asked, answer, element: view.element };
}

const heads = () => [...document.querySelectorAll<HTMLElement>(".llmkit-timeline-head")];
const head = (label: string) => heads().find((each) => text(each, "label") === label)!;
const labels = () => heads().map((each) => text(each, "label"));
const text = (element: Element, name: string) => element.querySelector(`.llmkit-timeline-${name}`)!.textContent;
const bar = (label: string) => head(label).querySelector<HTMLElement>(".llmkit-timeline-bar")!.style;
const key = (name: string, more: KeyboardEventInit = {}) =>
  document.activeElement!.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
const details = () => document.querySelector<HTMLElement>(".llmkit-timeline-details");

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
});

describe("rows", () => {
  it("stand in order, each with a bar where its time is", () => {
    open();
    expect(labels()).toEqual(["run", "step 0", "prefill", "decode", "tool · get_weather"]);
    expect([bar("decode").left, bar("decode").width]).toEqual(["12.5%", "30%"]); // of an axis of 4 s
    expect(text(head("decode"), "time")).toBe("1.20 s");
    expect(text(head("decode"), "beside")).toBe("84 tokens · 70.0/s");
  });

  it("come live, and end when their spans do", () => {
    const { patch } = open();
    patch({ ...begun()[4]!, end: 2.8, status: "ok", detail: "{} → 22" }, row(5, { parent: 1, kind: "approval", label: "approval · rm", start: 2.9 }));
    expect(text(head("tool · get_weather"), "time")).toBe("1.00 s");
    expect(heads().at(-1)!.textContent).toContain("approval · rm");
  });

  it("grow with time as long as they are open, on an axis that grows in leaps", () => {
    const { element } = open();
    const ticks = () => [...element.querySelectorAll(".llmkit-timeline-tick")].map((tick) => tick.textContent);
    const before = Number.parseFloat(bar("tool · get_weather").width);
    expect(ticks().at(-1)).toBe("4 s");
    vi.advanceTimersByTime(600);
    expect(Number.parseFloat(bar("tool · get_weather").width)).toBeGreaterThan(before);
    expect(ticks().at(-1)).toBe("4 s");
    vi.advanceTimersByTime(2000);
    expect(ticks().at(-1)).toBe("6 s");
    expect(text(element, "elapsed")).toBe("5.5 s");
  });

  it("stand still when the run is over", () => {
    const { patch, element } = open();
    patch({ ...begun()[0]!, end: 3, status: "ok", detail: "1 step · 84 tokens" });
    const painted = element.innerHTML;
    vi.advanceTimersByTime(5000);
    expect(element.innerHTML).toBe(painted);
    expect(text(element, "status")).toBe("Done");
    expect(text(element, "who")).toBe("SmolLM2 · llamacpp · 1 step · 84 tokens");
    expect(element.getAttribute("aria-busy")).toBe("false");
  });

  it("paint at most a few times a second", () => {
    const { store } = open();
    const paint = vi.spyOn(store, "now", "get");
    for (let index = 1; index <= 100; index++) {
      store.receive({ kind: "patch", seq: index, now: 3, rows: [{ ...begun()[4]!, detail: `${index}` }] });
      vi.advanceTimersByTime(10);
    }
    expect(paint.mock.calls.length).toBeLessThan(2 * 6); // each painting reads the clock twice
    expect(text(head("tool · get_weather"), "beside")).not.toBe('{"city": "Tokyo"}');
  });

  it("say below what is known of the one that is pointed at", () => {
    const { element } = open();
    head("decode").dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(text(element, "told")).toBe("decode · step 0 · from 0.50 s to 1.70 s · 1.20 s · 84 tokens · 70.0/s");
    element.querySelector(".llmkit-timeline-list")!.dispatchEvent(new Event("pointerleave"));
    expect(text(element, "told")).toBe("");
  });

  it("say what the run does, and that its kernel is gone", () => {
    const { store, element } = open();
    expect([text(element, "status"), element.dataset["doing"]]).toEqual(["Running tools", "tool"]);
    store.lose();
    vi.advanceTimersByTime(300);
    expect([text(element, "status"), element.dataset["status"]]).toEqual(["Lost", "lost"]);
  });

  it("are none before the run has begun", () => {
    const { element } = open([]);
    expect(heads()).toEqual([]);
    expect(text(element, "status")).toBe("Starting");
  });
});

describe("the line below the rows", () => {
  it("tells of the row that was moved to last, by pointer or by keyboard", () => {
    const { element } = open();
    heads()[0]!.focus();
    head("decode").dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(text(element, "told")).toMatch(/^decode/);
    key("ArrowDown");
    expect(text(element, "told")).toMatch(/^step 0/);
  });
});

describe("for a screen reader", () => {
  it("each row is a button in a list, with its place and all that it says", () => {
    open();
    const item = head("decode").parentElement!;
    expect(item.parentElement!.getAttribute("role")).toBe("list");
    expect(["role", "aria-posinset", "aria-setsize"].map((name) => item.getAttribute(name))).toEqual(["listitem", "4", "5"]);
    expect(head("decode").getAttribute("role")).toBe("button");
    expect(head("decode").getAttribute("aria-label")).toBe("decode, step 0, 1.20 s, 84 tokens at 70 tokens/s");
    expect(head("tool · get_weather").getAttribute("aria-label")).toBe('tool, get_weather, step 0, going on, {"city": "Tokyo"}');
  });
});

describe("the keyboard", () => {
  it("moves from row to row, of which one at a time is reached by tab", () => {
    open();
    expect(heads().map((each) => each.tabIndex)).toEqual([0, -1, -1, -1, -1]);
    heads()[0]!.focus();
    for (const [name, label] of [
      ["ArrowDown", "step 0"],
      ["ArrowDown", "prefill"],
      ["ArrowUp", "step 0"],
      ["End", "tool · get_weather"],
      ["ArrowDown", "tool · get_weather"],
      ["ArrowLeft", "step 0"],
      ["ArrowLeft", "run"],
      ["PageDown", "tool · get_weather"],
      ["Home", "run"],
    ] as const) {
      key(name);
      expect(document.activeElement).toBe(head(label));
      expect(heads().filter((each) => each.tabIndex === 0)).toEqual([head(label)]);
    }
  });

  it("unfolds and folds", () => {
    open();
    head("decode").focus();
    for (const [open, close] of [
      ["Enter", "Enter"],
      [" ", " "],
      ["ArrowRight", "ArrowLeft"],
      ["Enter", "Escape"],
    ] as const) {
      key(open);
      expect(head("decode").getAttribute("aria-expanded")).toBe("true");
      expect(head("decode").getAttribute("aria-controls")).toBe(details()!.id);
      expect(document.activeElement).toBe(head("decode"));
      key(close);
      expect(head("decode").getAttribute("aria-expanded")).toBe("false");
      expect(details()).toBeNull();
    }
  });

  it("leaves to others what isn't its own", () => {
    open();
    head("decode").focus();
    expect(key("s", { ctrlKey: true })).toBe(true);
    expect(key("Tab")).toBe(true);
    expect(key("Escape")).toBe(true);
    expect(key("ArrowDown")).toBe(false);
  });

  it("keeps Lab's plain shortcuts away, and lets those with Ctrl through", () => {
    const { element } = open();
    const list = element.querySelector(".llmkit-timeline-list")!;
    head("decode").focus();
    key("a");
    expect(list.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
    key("s", { ctrlKey: true });
    expect(list.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
  });

  it("stays where it is when rows come", () => {
    const { patch } = open();
    head("decode").focus();
    patch(row(5, { parent: 1, kind: "tool", label: "tool · other", start: 0.3 }));
    expect(document.activeElement).toBe(head("decode"));
  });
});

describe("details", () => {
  it("are asked for when a row is unfolded, and shown as they come", () => {
    const { asked, answer } = open();
    head("tool · get_weather").click();
    expect(asked()).toMatchObject([{ kind: "details", span: 4 }]);
    answer([
      { title: "", kind: "facts", facts: [["decided by", "panel"]] },
      { title: "Arguments", kind: "value", value: { kind: "json", text: '{"city": "Tokyo"}', more: 0, short: "" } },
      { title: "Printed", kind: "text", text: "asking", more: 0 },
    ]);
    expect(details()!.textContent).toBe('decided bypanelArguments{"city": "Tokyo"}Printedasking');
  });

  it("are asked for again when the row has changed, one question at a time", () => {
    const { asked, answer, patch } = open();
    head("tool · get_weather").click();
    patch({ ...begun()[4]!, detail: "1" });
    patch({ ...begun()[4]!, detail: "2" });
    expect(asked().length).toBe(1);
    answer([{ title: "", kind: "text", text: "first", more: 0 }]);
    expect(asked().length).toBe(2);
    answer([{ title: "", kind: "text", text: "second", more: 0 }]);
    expect(details()!.textContent).toBe("second");
    patch({ ...begun()[3]!, detail: "of another row" });
    expect(asked().length).toBe(2);
  });

  it("bring earlier messages when asked", () => {
    const { asked, answer } = open();
    head("step 0").click();
    const messages = [{ role: "user", parts: [{ label: "", text: "Hello", more: 0 }] }];
    answer([{ title: "Messages sent", kind: "messages", messages, earlier: 1234, most: 200 }]);
    const more = details()!.querySelector("button")!;
    expect(more.textContent).toBe("… Show 40 of 1,234 earlier messages");
    more.click();
    expect(asked().at(-1)).toMatchObject({ span: 1, messages: 41 });
    answer([{ title: "Messages sent", kind: "messages", messages, earlier: 1234, most: 1 }]);
    expect(details()!.textContent).toContain("1,234 earlier messages, not sent here");
  });

  it("are bounded, with a button for more", () => {
    const { answer } = open();
    head("tool · get_weather").click();
    answer([{ title: "Result", kind: "text", text: "x".repeat(50_000), more: 950_000 }]);
    expect(details()!.textContent!.length).toBeLessThan(1_500);
    expect(details()!.textContent).toContain("950,000 more characters, not sent here");
    details()!.querySelector("button")!.click();
    expect(details()!.textContent!.length).toBeGreaterThan(50_000);
  });

  it("say that nothing more is to be had from a kernel that is gone", () => {
    const { store, asked } = open();
    store.lose();
    head("decode").click();
    expect(asked()).toEqual([]);
    expect(details()!.textContent).toContain("The kernel was restarted");
  });

  it.each(HOSTILE)("and all else of hostile text are text: %j", (words) => {
    const { answer, element } = open([row(0, { who: words }), row(1, { label: words, detail: words, said: words })]);
    heads()[1]!.click();
    const cut = { text: words, more: 0 };
    answer([
      { title: words, kind: "facts", facts: [[words, words]] },
      { title: words, kind: "text", ...cut },
      { title: words, kind: "value", value: { kind: "text", short: words, ...cut } },
      { title: words, kind: "messages", messages: [{ role: words, parts: [{ label: words, ...cut }] }], earlier: 0, most: 9 },
    ]);
    expect(element.querySelectorAll("img, script").length).toBe(0);
    for (const block of element.querySelectorAll("pre")) expect(block.textContent).not.toMatch(/[\u0000\u001b\u202e]/u);
  });
});

describe("a run of 1,000 steps", () => {
  it("has few elements on the page, and few lines", () => {
    open(long(1000));
    expect(heads().length).toBeLessThan(60);
    expect(heads()[0]!.parentElement!.getAttribute("aria-setsize")).toBe("202");
  });

  it("unfolds to all of its rows, of which those in sight are on the page", () => {
    const { element } = open(long(1000));
    head("960 earlier steps").click();
    expect(head("960 earlier steps").getAttribute("aria-expanded")).toBe("true");
    expect(heads()[0]!.parentElement!.getAttribute("aria-setsize")).toBe("5002");
    const chart = element.querySelector<HTMLElement>(".llmkit-timeline-chart")!;
    chart.scrollTop = 60_000;
    chart.dispatchEvent(new Event("scroll"));
    expect(labels()).toContain("step 500");
    expect(heads().length).toBeLessThan(60);
    expect(head("960 earlier steps").tabIndex).toBe(0); // where the keyboard is stays reachable
    head("960 earlier steps").focus();
    key("End");
    expect((document.activeElement as HTMLElement).parentElement!.getAttribute("aria-posinset")).toBe("5002");
  });

  it("takes new rows in little time", () => {
    vi.useRealTimers();
    const { store } = open(long(1000));
    const rows = long(1010).slice(5001);
    const before = performance.now();
    rows.forEach((each, index) => store.receive({ kind: "patch", seq: index + 1, now: 1000 + index, rows: [each] }));
    expect(performance.now() - before).toBeLessThan(200);
    expect(store.state.rows.length).toBe(5051);
  });
});

describe("a view", () => {
  it("stops when it goes", () => {
    const { view, store } = open();
    view.dispose();
    store.receive({ kind: "patch", seq: 1, now: 3, rows: [row(5)] });
    vi.advanceTimersByTime(5000);
    expect(document.querySelector(".llmkit-timeline")).toBeNull();
  });
});
