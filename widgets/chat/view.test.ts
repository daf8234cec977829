import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, state as run } from "../run/testing";
import type { ChatState, ToKernel, Turn } from "./protocol";
import { ChatStore } from "./store";
import { ChatView } from "./view";

let sent: ToKernel[];
let store: ChatStore;
let view: ChatView;

const TURNS: Turn[] = [
  { id: 0, parent: null, role: "user", text: "<b>one</b>" },
  { id: 1, parent: 0, role: "assistant", text: "" },
  { id: 2, parent: 0, role: "assistant", text: "" },
];

function chat(changes: Partial<ChatState> = {}): ChatState {
  return {
    seq: 0,
    chat_id: "c1",
    kept: "llmkit-chat-kept-c1",
    model: "M",
    tools: [],
    system: "",
    path: [0, 2],
    busy: null,
    turns: TURNS,
    runs: { 2: run({ status: "done", text: "two" }) },
    ...changes,
  };
}

function show(changes: Partial<ChatState> = {}): void {
  store = new ChatStore(chat(changes), (message) => sent.push(message));
  store.open();
  view = new ChatView(store);
  document.body.append(view.element);
}

const find = <E extends HTMLElement>(name: string): E => view.element.querySelector<E>(`.llmkit-chat-${name}`)!;
const message = (): HTMLTextAreaElement => view.element.querySelector<HTMLTextAreaElement>("[aria-label=Message]")!;
const requests = (): ToKernel[] => sent.filter(({ kind }) => !["hello", "turn", "resync"].includes(kind));

function buttons(label: string): HTMLButtonElement[] {
  const all = [...view.element.querySelectorAll("button")];
  return all.filter((each) => [each.textContent, each.getAttribute("aria-label")].includes(label));
}

function type(area: HTMLTextAreaElement, text: string, key = "Enter", more: KeyboardEventInit = {}): void {
  area.value = text;
  area.dispatchEvent(new Event("input"));
  area.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
}

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

describe("a chat", () => {
  it("shows the path, with text as text, and which branch it is", () => {
    show();
    expect(find("bubble").textContent).toBe("<b>one</b>");
    expect(find("answer").textContent).toContain("two");
    expect(find("answer").querySelector(".llmkit-chat-place")!.textContent).toBe("2/2");
    expect(find("user").querySelector<HTMLElement>(".llmkit-chat-arrows")!.hidden).toBe(true);
    expect(find("log").getAttribute("role")).toBe("log");
  });

  it("sends at Enter, not at Shift+Enter, in a composition, or when there is nothing to say", () => {
    show();
    type(message(), "hi", "Enter", { shiftKey: true });
    type(message(), "hi", "Enter", { isComposing: true });
    type(message(), "  ");
    expect(requests()).toEqual([]);
    type(message(), "hi");
    expect(requests()).toEqual([expect.objectContaining({ kind: "send", text: "hi" })]);
    expect(message().value).toBe("");
    type(message(), "more"); // before the kernel has answered
    expect(requests()).toHaveLength(1);
  });

  it("keeps its keys from the page, but for saving", () => {
    show();
    const heard: string[] = [];
    document.body.addEventListener("keydown", ({ key }) => heard.push(key));
    type(message(), "x", "d");
    expect(message().hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    type(message(), "x", "s", { ctrlKey: true });
    expect(message().hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
    expect(heard).toEqual(["s"]);
  });

  it("gives back what was refused, and says why", () => {
    show();
    type(message(), "hi");
    store.receive({ kind: "refused", text: "No." });
    expect(message().value).toBe("hi");
    expect(find("notice").textContent).toBe("No.");
  });

  it("says a request again until it is heard, under the same id", () => {
    show();
    type(message(), "hi");
    vi.advanceTimersByTime(1_600);
    expect(requests()).toHaveLength(2);
    expect(requests()[0]).toEqual(requests()[1]);
    expect(find("notice").textContent).toContain("hasn't answered yet");
    store.receive({ kind: "taken", id: (requests()[0] as { id: string }).id });
    vi.advanceTimersByTime(60_000);
    expect(requests()).toHaveLength(2);
    expect(find("notice").hidden).toBe(true);
  });

  it("takes new turns from patches, asks for a snapshot when one is missing, and streams into the answer", () => {
    show();
    const turns: Turn[] = [
      { id: 3, parent: 2, role: "user", text: "three" },
      { id: 4, parent: 3, role: "assistant", text: "" },
    ];
    const { seq, turns: _turns, runs: _runs, ...fields } = chat({ path: [0, 2, 3, 4], busy: 4 });
    store.receive({ kind: "patch", seq: seq + 1, set: fields, turns });
    expect(sent).toContainEqual({ kind: "turn", turn: 4, message: { kind: "hello" } });
    const waiting = run({ status: "approval", text: "four", calls: [call()] });
    store.receive({ kind: "turn", turn: 4, message: { kind: "snapshot", state: waiting } });
    vi.advanceTimersByTime(600);
    expect(view.element.querySelectorAll(".llmkit-chat-answer")[1]!.textContent).toContain("four");
    expect(find("composer").textContent).toContain("A tool call waits");
    buttons("Approve")[0]!.click();
    expect(sent).toContainEqual({ kind: "turn", turn: 4, message: expect.objectContaining({ verdict: "allow" }) });
    expect(find("stop").hidden).toBe(false);
    store.receive({ kind: "patch", seq: seq + 3, set: fields, turns: [] });
    expect(sent.at(-1)).toEqual({ kind: "resync" });
  });

  it("goes to another branch, and the focus stays on the arrows", () => {
    show();
    const [previous] = buttons("Previous branch").filter((each) => each.closest(".llmkit-chat-answer"));
    previous!.focus();
    previous!.click();
    expect(requests()).toEqual([expect.objectContaining({ kind: "select", turn: 1 })]);
    store.replace(chat({ seq: 1, path: [0, 1], runs: { 1: run({ status: "done", text: "first" }) } }));
    expect(find("answer").textContent).toContain("first");
    expect(document.activeElement!.getAttribute("aria-label")).toBe("Next branch");
  });

  it("edits a message, regenerates an answer, changes the system prompt, and saves", () => {
    show();
    buttons("Edit")[0]!.click();
    const editor = view.element.querySelector<HTMLTextAreaElement>("[aria-label='Edit the message']")!;
    expect(editor.value).toBe("<b>one</b>");
    type(editor, "x", "Escape");
    expect(requests()).toEqual([]);
    buttons("Edit")[0]!.click();
    type(editor, "uno");
    store.receive({ kind: "refused", text: "" });
    buttons("Regenerate")[0]!.click();
    const system = view.element.querySelector<HTMLTextAreaElement>("[aria-label='System prompt']")!;
    system.value = "Be brief.";
    system.dispatchEvent(new Event("change"));
    buttons("Markdown")[0]!.click();
    const told = requests().map((request) => ({ ...request, id: undefined }));
    expect(told).toEqual([
      { kind: "edit", turn: 0, text: "uno" },
      { kind: "regenerate", turn: 2 },
      { kind: "system", text: "Be brief." },
      { kind: "export", format: "md" },
    ].map((request) => ({ ...request, id: undefined })));
  });

  it("hides the saved transcript as long as it is there, and says when its kernel is gone", () => {
    show();
    expect(view.element.querySelector("style")!.textContent).toContain(".llmkit-chat-kept-c1");
    store.lose();
    expect(view.element.dataset["status"]).toBe("lost");
    expect(message().disabled).toBe(true);
    expect(find("notice").textContent).toContain("The kernel was restarted");
  });
});
