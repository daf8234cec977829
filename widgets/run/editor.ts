// Arguments as JSON text to edit: its syntax is judged on the page at once, its meaning by the kernel a moment later.

import { button, make } from "../shared/dom";
import type { Problem } from "./protocol";
import { oneLine } from "../shared/visible";

/** The kernel is asked when nobody has typed for so long. */
const PAUSE = 250;
const ROWS = { least: 3, most: 18 };

type Examine = (text: string, answer: (problems: Problem[]) => void) => void;

export class Editor {
  readonly element: HTMLElement;
  readonly done: HTMLButtonElement;
  private readonly area = make("textarea", "editor", { "aria-label": "Arguments as JSON", spellcheck: "false" });
  private readonly problems = make("ul", "problems", { role: "status", "aria-label": "Problems" });
  private readonly examine: Examine;
  private original = "";
  private bad = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(examine: Examine, approve: () => void) {
    this.examine = examine;
    this.done = button("primary", "Approve edited", approve, "Ctrl+Enter");
    this.element = make("div", "edit", {}, this.area, this.problems);
    this.area.addEventListener("input", () => this.onInput());
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !this.done.disabled) approve();
    });
  }

  get text(): string {
    return this.area.value;
  }

  get changed(): boolean {
    return this.text !== this.original;
  }

  open(text: string): void {
    this.original = text;
    this.area.value = text;
    const lines = text.slice(0, 10_000).split("\n").length + 1;
    this.area.rows = Math.min(Math.max(lines, ROWS.least), ROWS.most);
    this.tell([]);
    this.area.focus();
    this.area.setSelectionRange(0, 0);
  }

  /** Offer to approve what isn't known to be wrong; the kernel has the last word. */
  judge(): void {
    this.done.disabled = this.bad;
    this.done.textContent = this.changed ? "Approve edited" : "Approve";
  }

  private onInput(): void {
    clearTimeout(this.timer);
    const problem = syntaxProblem(this.text);
    this.tell(problem === null ? [] : [problem]);
    if (problem === null) this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  private ask(): void {
    const { text } = this;
    this.examine(text, (problems) => {
      if (text === this.text) this.tell(problems);
    });
  }

  private tell(problems: Problem[]): void {
    this.bad = problems.length > 0;
    this.problems.hidden = !this.bad;
    this.problems.replaceChildren(...problems.map(line));
    this.area.setAttribute("aria-invalid", String(this.bad));
    this.judge();
  }
}

function line({ field, message }: Problem): HTMLElement {
  const name = make("code", "tool", {}, oneLine(field, 100));
  return make("li", "problem", {}, ...(field === "" ? [] : [name, " "]), oneLine(message, 500));
}

/** Return what keeps `text` from being JSON, and where. */
function syntaxProblem(text: string): Problem | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return { field: "", message: `Not JSON yet: ${placed(error instanceof Error ? error.message : "", text)}` };
  }
}

/** Browsers tell a position in characters, or none; people look for lines. */
function placed(message: string, text: string): string {
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position === undefined) return message;
  const before = text.slice(0, Number(position)).split("\n");
  return `${message.replace(/ in JSON at position.*$/s, "")}, line ${before.length}, column ${before.at(-1)!.length + 1}`;
}
