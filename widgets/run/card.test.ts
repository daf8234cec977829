import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ARMED_AFTER } from "./card";
import { watchTyping } from "./focus";
import type { Call, Decide, ToKernel, Value } from "./protocol";
import { RunStore } from "./store";
import { call, state } from "./testing";
import { RunView } from "./view";

const HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script>';

let sent: ToKernel[];
let store: RunStore;
let view: RunView;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
});

afterEach(() => {
  view.dispose();
  store.close();
  document.body.replaceChildren();
  vi.useRealTimers();
});

/** Show a run with these calls; the page has long been quiet. */
function show(...calls: Call[]): void {
  vi.advanceTimersByTime(10_000);
  store = new RunStore(state({ status: "approval", calls }), (message) => sent.push(message));
  view = new RunView(store);
  document.body.append(view.element);
  vi.advanceTimersByTime(200);
}

/** Change the call with that id, as a patch does. */
function change(id: string, set: Partial<Call>): void {
  store.receive({ kind: "patch", seq: store.state.seq + 1, calls: [{ id, set }] });
  vi.advanceTimersByTime(600);
}

function cards(): HTMLElement[] {
  return [...view.element.querySelectorAll<HTMLElement>(".llmkit-run-card")];
}

function card(index = 0): HTMLElement {
  return cards()[index]!;
}

function button(label: string, index = 0): HTMLButtonElement {
  const shown = [...card(index).querySelectorAll("button")].filter((each) => each.closest("[hidden]") === null);
  return shown.find((each) => each.firstChild!.textContent === label)!;
}

function press(key: string, target: Element = document.activeElement!): void {
  vi.advanceTimersByTime(ARMED_AFTER);
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

function decisions(): Decide[] {
  return sent.filter((message) => message.kind === "decide");
}

function field<Tag extends "textarea" | "input" | "select">(tag: Tag): HTMLElementTagNameMap[Tag] {
  return card().querySelector(tag)!;
}

function write(text: string): void {
  field("textarea").value = text;
  field("textarea").dispatchEvent(new Event("input"));
}

const ALLOWED = { verdict: "allow", by: "panel", reason: "", edited: false, waited: 1 } as const;
const DONE: Partial<Call> = {
  status: "done",
  decision: ALLOWED,
  result: { kind: "json", text: '{"temperature": 22}', more: 0, short: '{"temperature": 22}' },
  duration: 0.25,
};

describe("a card that waits", () => {
  it("shows tool, description and arguments, and is named", () => {
    show(call());
    expect(card().textContent).toContain("get_weatherCurrent weather for a city.");
    expect(card().querySelector("dl")!.textContent).toBe('city"Tokyo"');
    expect([card().getAttribute("role"), card().getAttribute("aria-label")]).toEqual([
      "group",
      "Call of get_weather: waits for you",
    ]);
    expect(view.element.querySelector(".llmkit-run-status")!.textContent).toBe("Waiting for you");
  });

  it("is approved by its button, once, with id and digest", () => {
    show(call());
    button("Approve").click();
    button("Approve").click();
    expect(decisions()).toEqual([{ kind: "decide", call_id: "call-1", digest: "d1", verdict: "allow" }]);
  });

  it("is denied with a reason", () => {
    show(call());
    button("Deny").click();
    expect(document.activeElement).toBe(field("input"));
    field("input").value = " Too far. ";
    button("Deny").click();
    expect(decisions()).toEqual([
      { kind: "decide", call_id: "call-1", digest: "d1", verdict: "deny", reason: "Too far." },
    ]);
  });

  it.each<[string, string, "allow" | "deny"]>([
    ["run", "Always allow", "allow"],
    ["session", "Always deny", "deny"],
  ])("makes a rule for the %s: %s", (scope, label, verdict) => {
    show(call());
    button("Always…").click();
    field("select").value = scope;
    button(label).click();
    expect(decisions()[0]).toMatchObject({ verdict, always: scope });
  });

  it("stays and says why when the kernel refuses", () => {
    show(call());
    button("Approve").click();
    store.receive({ kind: "ruled", call_id: "call-1", accepted: false, refusal: "city must be a string <b>" });
    expect(card().querySelector(".llmkit-run-message")!.textContent).toBe("city must be a string <b>");
    button("Approve").click();
    expect(decisions()).toHaveLength(2);
  });

  it("says so when the kernel doesn't answer", () => {
    show(call());
    button("Approve").click();
    vi.advanceTimersByTime(7_000);
    expect(card().querySelector(".llmkit-run-message")!.textContent).toContain("hasn't answered");
  });

  it("isn't decided by the second click of a double click", () => {
    show(call());
    button("Approve").dispatchEvent(new MouseEvent("click", { bubbles: true, detail: 2 }));
    expect(decisions()).toEqual([]);
  });

  it("can't be decided on when the kernel is gone", () => {
    show(call());
    store.lose();
    vi.advanceTimersByTime(600);
    expect(button("Approve").disabled).toBe(true);
    expect(card().textContent).toContain("The kernel was restarted: this call can't run any more.");
    expect(card().dataset["status"]).toBe("lost");
    press("a", card());
    expect(decisions()).toEqual([]);
  });
});

describe("an edit", () => {
  it("is checked on the page at once and by the kernel a moment later", () => {
    show(call());
    button("Edit").click();
    write('{"city": ');
    expect(card().textContent).toContain("Not JSON yet");
    expect(button("Approve edited").disabled).toBe(true);
    write('{"city": 3}');
    vi.advanceTimersByTime(300);
    const check = sent.find((message) => message.kind === "check")!;
    expect(check).toMatchObject({ call_id: "call-1", arguments: '{"city": 3}' });
    store.receive({ kind: "checked", request_id: "another", problems: [{ field: "x", message: "y" }] });
    expect(button("Approve edited").disabled).toBe(false);
    const problems = [{ field: "city", message: "must be a string, but is 3" }];
    store.receive({ kind: "checked", request_id: check.request_id, problems });
    expect(card().querySelector(".llmkit-run-problem")!.textContent).toBe("city must be a string, but is 3");
    expect(button("Approve edited").disabled).toBe(true);
  });

  it("is asked about once when somebody types fast", () => {
    show(call());
    button("Edit").click();
    for (let length = 1; length < 20; length++) write(`{"city": "${"a".repeat(length)}"}`);
    vi.advanceTimersByTime(300);
    expect(sent.filter((message) => message.kind === "check")).toHaveLength(1);
  });

  it("is sent as JSON text", () => {
    show(call());
    button("Edit").click();
    write('{"city": "Osaka"}');
    button("Approve edited").click();
    expect(decisions()).toEqual([
      { kind: "decide", call_id: "call-1", digest: "d1", verdict: "allow", arguments: '{"city": "Osaka"}' },
    ]);
  });

  it("is all that shows the arguments meanwhile", () => {
    show(call());
    const mode = (): string | undefined => card().querySelector<HTMLElement>(".llmkit-run-controls")!.dataset["mode"];
    button("Edit").click();
    expect(mode()).toBe("edit");
    press("Escape");
    expect(mode()).toBe("ask");
  });

  it("that changes nothing is none", () => {
    show(call());
    button("Edit").click();
    button("Approve").click();
    expect(decisions()).toEqual([{ kind: "decide", call_id: "call-1", digest: "d1", verdict: "allow" }]);
  });

  it("is left with Escape, and the focus goes back to the card", () => {
    show(call());
    button("Edit").click();
    press("Escape");
    expect(card().querySelector("textarea")!.closest("[hidden]")).not.toBeNull();
    expect(document.activeElement).toBe(card());
  });

  it("survives what the run does meanwhile", () => {
    show(call(), call({ id: "call-2" }));
    button("Edit").click();
    write('{"city": "Os');
    change("call-2", DONE);
    store.receive({ kind: "snapshot", state: { ...structuredClone(store.state), seq: 9 } });
    vi.advanceTimersByTime(600);
    expect(field("textarea").value).toBe('{"city": "Os');
  });

  it("is marked in the record of the call", () => {
    show(call({ arguments: '{"city": "Tokyo", "days": 3}' }));
    change("call-1", { ...DONE, decision: { ...ALLOWED, edited: true }, executed: '{"city": "Osaka", "days": 3}' });
    expect(card().textContent).toContain("allowed by you, edited");
    card().querySelector<HTMLElement>(".llmkit-run-card-head")!.click();
    const [ran, asked] = [...card().querySelectorAll("dl")].map((each) => each.textContent);
    expect([ran, asked]).toEqual(['cityedited"Osaka"days3', 'cityedited"Tokyo"days3']);
  });
});

describe("the keyboard", () => {
  it("lands on the first card that waits, and A, E and D work there", () => {
    show(call(), call({ id: "call-2" }));
    expect(document.activeElement).toBe(card(0));
    press("e");
    expect(document.activeElement).toBe(field("textarea"));
    press("a");
    expect(decisions()).toEqual([]);
    press("Escape");
    press("d");
    expect(document.activeElement).toBe(field("input"));
    press("Escape");
    press("a");
    expect(decisions()[0]).toMatchObject({ call_id: "call-1", verdict: "allow" });
  });

  it("denies with Enter in the reason's field", () => {
    show(call());
    press("d");
    press("Enter");
    expect(decisions()[0]).toMatchObject({ verdict: "deny" });
  });

  it("goes on to the next card after a decision, and stays when there is none", () => {
    show(call(), call({ id: "call-2" }));
    press("a");
    change("call-1", DONE);
    expect(document.activeElement).toBe(card(1));
    press("a");
    change("call-2", DONE);
    expect(card(1).contains(document.activeElement)).toBe(true);
  });

  it("is not obeyed right after it landed by itself, nor when a key is held", () => {
    show(call());
    const keydown = (init: KeyboardEventInit): boolean =>
      card().dispatchEvent(new KeyboardEvent("keydown", { key: "a", bubbles: true, ...init }));
    view.dispose();
    view = new RunView(store);
    document.body.append(view.element);
    vi.advanceTimersByTime(100);
    keydown({});
    expect(decisions()).toEqual([]);
    vi.advanceTimersByTime(ARMED_AFTER);
    keydown({ repeat: true });
    keydown({ ctrlKey: true });
    expect(decisions()).toEqual([]);
  });

  it("is obeyed where a card says so", () => {
    show(call(), call({ id: "call-2" }));
    const armed = (): boolean[] => cards().map((each) => each.hasAttribute("data-armed"));
    view.dispose();
    view = new RunView(store);
    document.body.append(view.element);
    vi.advanceTimersByTime(ARMED_AFTER - 1);
    expect([document.activeElement === card(), ...armed()]).toEqual([true, false, true]);
    vi.advanceTimersByTime(200);
    expect(armed()).toEqual([true, true]);
    change("call-1", DONE);
    expect(armed()).toEqual([false, true]);
  });

  it.each(["input", "textarea", "select", "button", "iframe"])("is left to a focused %s", (tag) => {
    const other = document.createElement(tag);
    document.body.append(other);
    other.focus();
    const focused = document.activeElement;
    show(call());
    expect(document.activeElement).toBe(focused);
    expect(focused).toBe(other);
  });

  it("is left to somebody who has just typed somewhere", () => {
    const stop = watchTyping();
    show();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "d", bubbles: true }));
    store.replace(state({ seq: 1, calls: [call()] }));
    vi.advanceTimersByTime(600);
    expect(document.activeElement).toBe(document.body);
    stop();
  });

  it("keeps Jupyter's own shortcuts from cards that wait, and from no others", () => {
    show(call());
    expect(card().hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    change("call-1", DONE);
    expect(card().hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
  });
});

describe("a decided card", () => {
  it("folds to a line with who decided and what came of it, and unfolds", () => {
    show(call());
    change("call-1", { ...DONE, printed: { text: "hello", more: 0 } });
    const head = card().querySelector<HTMLElement>(".llmkit-run-card-head")!;
    expect(head.textContent).toBe('✓get_weathercity: "Tokyo"{"temperature": 22}allowed by you · 250 ms');
    expect(card().querySelector("dl")).toBeNull();
    expect(head.getAttribute("aria-expanded")).toBe("false");
    press("Enter", head);
    expect(head.getAttribute("aria-expanded")).toBe("true");
    expect(card().querySelector(".llmkit-run-card-body")!.textContent).toContain('Result{"temperature": 22}Printedhello');
    head.click();
    expect(card().querySelector("dl")).toBeNull();
  });

  it.each<[Partial<Call>, string]>([
    [{ status: "denied", decision: { ...ALLOWED, verdict: "deny" } }, "denied by you"],
    [
      { status: "denied", decision: { ...ALLOWED, verdict: "deny", reason: `Too \u202efar\n${HOSTILE.repeat(9)}` } },
      "denied by you: Too \\u202efar <img",
    ],
    [{ status: "denied", decision: { ...ALLOWED, verdict: "deny", by: "headless" } }, "because nobody was there"],
    [{ status: "denied", decision: { ...ALLOWED, verdict: "deny", by: "timeout" } }, "nobody answered in time"],
    [{ status: "running", decision: { ...ALLOWED, by: "rule" } }, "running · allowed by a rule"],
    [{ status: "failed", error: { kind: "ValueError", message: HOSTILE } }, "ValueError: <img"],
    [{ status: "open", decision: { ...ALLOWED, verdict: "pend", by: "headless" } }, "left open because nobody"],
    [{ status: "done", decision: { ...ALLOWED, by: "tool" }, duration: 12 }, "12 s"],
  ])("says %o", (changes, words) => {
    show(call());
    change("call-1", changes);
    expect(card().querySelector(".llmkit-run-card-head")!.textContent).toContain(words);
  });

  it("says why somebody denied it, once", () => {
    show(call());
    change("call-1", { status: "denied", decision: { ...ALLOWED, verdict: "deny", reason: "Too far." } });
    expect(card().textContent).toContain("denied by you: Too far.");
    card().querySelector<HTMLElement>(".llmkit-run-card-head")!.click();
    expect(card().textContent!.match(/Too far\./g)).toHaveLength(1);
  });

  it.each<[Partial<Call>, string, string[]]>([
    [{ printed: { text: "hello\n", more: 0 } }, "Printed", ["hello"]],
    [{ displayed: [{ kind: "text", text: HOSTILE, more: 0, short: "" }] }, "Displayed", [HOSTILE]],
    [
      { printed: { text: "a", more: 0 }, displayed: [{ kind: "text", text: "b", more: 0, short: "" }] },
      "Printed and displayed",
      ["a", "b"],
    ],
  ])("folds what its handler printed and displayed %#", (changes, title, texts) => {
    show(call());
    change("call-1", { ...DONE, ...changes });
    card().querySelector<HTMLElement>(".llmkit-run-card-head")!.click();
    const folded = card().querySelector("details")!;
    expect([folded.open, folded.querySelector("summary")!.textContent]).toEqual([false, title]);
    expect([...folded.querySelectorAll("pre")].map((each) => each.textContent)).toEqual(texts);
    expect(document.querySelector("img, script")).toBeNull();
  });

  it("shows a displayed image as one", () => {
    show(call());
    change("call-1", { ...DONE, displayed: [{ kind: "image", mime: "image/png", data: "AAAA", short: "PNG image" }] });
    card().querySelector<HTMLElement>(".llmkit-run-card-head")!.click();
    expect(card().querySelector("details img")!.getAttribute("src")).toBe("data:image/png;base64,AAAA");
  });

  it.each<[Value, string, string]>([
    [{ kind: "text", text: HOSTILE, more: 5, short: "" }, "pre", `${HOSTILE}… and 5 more characters, not sent here`],
    [
      {
        kind: "table",
        columns: [HOSTILE, "n"],
        numeric: [false, true],
        rows: [["0", HOSTILE, "1"]],
        more_rows: 1,
        more_columns: 2,
        short: "",
      },
      "table",
      `${HOSTILE}n0${HOSTILE}1`,
    ],
  ])("shows the result %#", (result, tag, text) => {
    show(call());
    change("call-1", { ...DONE, result });
    card().querySelector<HTMLElement>(".llmkit-run-card-head")!.click();
    expect(card().querySelector(`.llmkit-run-part ${tag}`)!.textContent).toBe(text);
    expect(document.querySelector("img, script")).toBeNull();
  });

  it("shows PNG and JPEG images and no others", () => {
    show(call());
    const image = (mime: string, data: string): Value => ({ kind: "image", mime, data, short: "PNG image" });
    change("call-1", { ...DONE, preliminary_count: 4 });
    card().querySelector<HTMLElement>(".llmkit-run-card-head")!.click();
    const preliminary = [image("image/png", "AAAA"), image("image/svg+xml", "AAAA"), image("image/png", '" onload="')];
    store.receive({ kind: "patch", seq: store.state.seq + 1, calls: [{ id: "call-1", set: { preliminary_count: 7 }, preliminary }] });
    vi.advanceTimersByTime(600);
    const images = [...card().querySelectorAll("img")];
    expect(images.map((each) => each.getAttribute("src"))).toEqual(["data:image/png;base64,AAAA"]);
    expect(card().textContent).toContain("the last 3 of 7");
  });
});

describe("hostile content", () => {
  it("is text wherever it comes", () => {
    const value: Value = { kind: "json", text: JSON.stringify(HOSTILE), more: 0, short: HOSTILE };
    const text = JSON.stringify({ [HOSTILE]: HOSTILE, lines: `${HOSTILE}\n` });
    show(
      call({ name: HOSTILE, description: HOSTILE, why: HOSTILE, arguments: text, short: HOSTILE }),
      call({ id: "2", name: HOSTILE, status: "writing", arguments: null, input: HOSTILE }),
      call({ ...DONE, id: "3", name: HOSTILE, arguments: text, executed: text, result: value, short: HOSTILE }),
    );
    button("Always…").click();
    for (const head of document.querySelectorAll<HTMLElement>(".llmkit-run-card-head")) head.click();
    store.replace(state({ ...store.state, seq: 9, rules: [rule(HOSTILE)] }));
    vi.advanceTimersByTime(600);
    expect(document.querySelector("img, script, [onerror]")).toBeNull();
  });

  it("can't turn the direction of a name", () => {
    show(call({ name: "\u202edrawkcab" }));
    expect(card().querySelector(".llmkit-run-tool")!.textContent).toBe("\\u202edrawkcab");
    expect(card().getAttribute("aria-label")).not.toContain("\u202e");
  });
});

function rule(tool: string) {
  return { id: "r1", tool, action: "allow", scope: "session", reason: "", conditional: false } as const;
}

describe("several steps", () => {
  it("show their text and their cards in order", () => {
    show(call({ at: 5, ...DONE }), call({ at: 5, id: "call-2", ...DONE }), call({ at: 12, id: "call-3" }));
    store.replace(state({ ...store.state, seq: 1, text: "first\n\nthen\nlast 🙂" }));
    vi.advanceTimersByTime(600);
    const parts = [...view.element.querySelector(".llmkit-run-body")!.children];
    expect(parts.map((each) => each.getAttribute("role") ?? each.textContent!.trim())).toEqual([
      "",
      "group",
      "group",
      "",
      "group",
      "",
    ].map((part, index) => part || ["first", "", "", "then", "", "last 🙂"][index]!));
  });

  it("shows what the model writes, and how much more", () => {
    show(call({ status: "writing", arguments: null, input: '{"city', written: 4_006 }));
    expect(card().querySelector(".llmkit-run-writing")!.textContent).toBe('{"city … 4,000 more characters');
  });
});

describe("the rules in force", () => {
  it("are shown with a way to revoke each", () => {
    show();
    store.replace(state({ seq: 1, rules: [rule("get_*"), { ...rule("rm"), id: "r2", action: "deny", scope: "run" }] }));
    vi.advanceTimersByTime(600);
    const book = view.element.querySelector(".llmkit-run-rulebook")!;
    expect(book.querySelector("summary")!.textContent).toBe("2 rules in force");
    expect(book.textContent).toContain("Calls of rm are denied in this run");
    book.querySelectorAll("button")[1]!.click();
    expect(sent).toContainEqual({ kind: "revoke", rule_id: "r2" });
  });
});
