// An array of objects as a table that grows while it is written. Only the rows in sight are on the page, so that a
// thousand of them cost no more than thirty. Names and values are hostile text.
// Roles and keys: https://www.w3.org/WAI/ARIA/apg/patterns/grid/

import { make, say } from "./dom";
import { compact, count } from "./json_words";
import { ownKeys } from "./keys";
import type { ArrayNode, JSONNode, ObjectNode } from "./partial";
import { Tree } from "./tree";
import { plain } from "./visible";

/** Pixels, as output.css has it. */
const ROW = 23;
/** Rows on the page above and below those in sight; and rows in sight where nothing is laid out. */
const AROUND = 10;
const IN_SIGHT = 20;
const MOST_COLUMNS = 50;
const LONGEST = { name: 80, cell: 160 };

interface Column {
  name: string;
  /** All values so far are numbers. */
  numeric: boolean;
}

interface Row {
  element: HTMLTableRowElement;
  columns: number;
  settled: boolean;
}

let tables = 0;

export class Table {
  readonly element = make("div", "records");
  private readonly head = make("tr", "row");
  private readonly above = make("tr", "space", { "aria-hidden": "true" });
  private readonly below = make("tr", "space", { "aria-hidden": "true" });
  private readonly body = make("tbody", "rows", {}, this.above, this.below);
  private readonly table: HTMLTableElement;
  private readonly frame: HTMLElement;
  private readonly size = make("p", "quiet");
  private readonly details = make("div", "record");
  private readonly id = `llmkit-table-${++tables}`;
  private readonly unown: () => void;
  private readonly columns = new Map<string, Column>();
  private readonly rows = new Map<number, Row>();
  /** How many rows' names and values are known to be whole. */
  private learned = 0;
  private active = { row: -1, column: 0 };
  private shown: { row: number; tree: Tree } | undefined;
  private over = false;
  /** Whether the last rows are kept in sight. */
  private follows = true;
  private scrolled = 0;

  constructor(
    readonly node: ArrayNode,
    label: string,
  ) {
    const attributes = { role: "grid", tabindex: "0", "aria-label": label, "aria-readonly": "true" };
    this.table = make("table", "table", attributes, make("thead", "head", {}, this.head), this.body);
    this.frame = make("div", "frame", {}, this.table);
    this.element.append(this.frame, this.size, this.details);
    this.frame.addEventListener("scroll", () => this.onScroll());
    this.table.addEventListener("keydown", (event) => this.onKey(event));
    this.table.addEventListener("click", (event) => this.onClick(event));
    this.details.addEventListener("keydown", (event) => this.onDetailsKey(event));
    this.unown = ownKeys(this.table);
  }

  /** Show what the array has become; `over` when nothing more comes. */
  update(over: boolean): void {
    this.over = over;
    this.learn();
    this.paintHead();
    this.table.setAttribute("aria-rowcount", String(this.node.items.length + 1));
    if (this.follows) setHeight(this.below, this.node.items.length * ROW);
    this.toEnd();
    this.paintRows();
    this.toEnd();
    say(this.size, this.sizeWords());
    this.shown?.tree.update(over);
  }

  dispose(): void {
    this.unown();
    this.shown?.tree.dispose();
  }

  private sizeWords(): string {
    const growing = this.node.open && !this.over;
    const more = this.columns.size - MOST_COLUMNS;
    const rows = `${count(this.node.items.length, "row")}${growing ? " so far" : ""}`;
    return more > 0 ? `${rows} · … and ${count(more, "more column")}` : rows;
  }

  /** Take in the names and values of rows that are new or weren't whole. */
  private learn(): void {
    const { items } = this.node;
    for (let index = this.learned; index < items.length; index++) {
      const row = items[index] as ObjectNode;
      for (const [name, { kind }] of row.members) {
        const column = this.columns.get(name);
        if (column === undefined) this.columns.set(name, { name, numeric: kind === "number" });
        else column.numeric &&= kind === "number";
      }
      if (!row.open && this.learned === index) this.learned += 1;
    }
  }

  private shownColumns(): Column[] {
    return [...this.columns.values()].slice(0, MOST_COLUMNS);
  }

  private paintHead(): void {
    const columns = this.shownColumns();
    if (this.head.childElementCount === 0) this.head.append(make("th", "cell", { scope: "col", "aria-label": "Row" }, "#"));
    for (const { name } of columns.slice(this.head.childElementCount - 1)) {
      const cell = make("th", "cell", { scope: "col" });
      paintCut(cell, name, LONGEST.name);
      this.head.append(cell);
    }
    columns.forEach(({ numeric }, index) => this.head.cells[index + 1]!.classList.toggle("llmkit-run-number", numeric));
  }

  private toEnd(): void {
    if (this.follows && !this.over) this.frame.scrollTop = this.frame.scrollHeight;
    this.scrolled = this.frame.scrollTop;
  }

  /** Who scrolls up has something to read there; who comes back to the end sees what comes. */
  private onScroll(): void {
    const { scrollTop, clientHeight, scrollHeight } = this.frame;
    if (scrollTop < this.scrolled) this.follows = false;
    else if (scrollTop + clientHeight >= scrollHeight - ROW / 2) this.follows = true;
    this.scrolled = scrollTop;
    this.paintRows();
  }

  /** Put those rows on the page that are in sight. */
  private paintRows(): void {
    const total = this.node.items.length;
    const inSight = Math.ceil(this.frame.clientHeight / ROW) || IN_SIGHT;
    const top = Math.max(0, Math.min(Math.floor(this.frame.scrollTop / ROW), total - inSight));
    const first = Math.max(0, top - AROUND);
    const last = Math.min(total, top + inSight + AROUND);
    for (const [index, row] of this.rows) {
      if (index >= first && index < last) continue;
      row.element.remove();
      this.rows.delete(index);
    }
    const columns = this.shownColumns();
    for (let index = first; index < last; index++) this.paintRow(index, columns);
    setHeight(this.above, first * ROW);
    setHeight(this.below, (total - last) * ROW);
    this.keepWidths(total > last - first);
    this.paintActive();
  }

  private paintRow(index: number, columns: Column[]): void {
    const row = this.rows.get(index) ?? this.insert(index);
    if (row.settled && row.columns === columns.length) return;
    const node = this.node.items[index] as ObjectNode;
    const cells = columns.map((column, at) => cellOf(node.members.get(column.name), column, `${this.id}-${index}-${at}`));
    row.element.replaceChildren(make("th", "cell", { scope: "row" }, String(index)), ...cells);
    row.element.toggleAttribute("data-cut", node.open && this.over);
    row.element.setAttribute("aria-busy", String(node.open && !this.over));
    row.columns = columns.length;
    row.settled = !node.open;
  }

  private insert(index: number): Row {
    const element = make("tr", "row", { "aria-rowindex": String(index + 2) });
    element.dataset["index"] = String(index);
    const after = this.rows.get(index + 1)?.element ?? this.below;
    after.before(element);
    const row = { element, columns: 0, settled: false };
    this.rows.set(index, row);
    return row;
  }

  /** Columns don't become narrower when other rows come in sight. */
  private keepWidths(scrolls: boolean): void {
    if (!scrolls) return;
    const widths = [...this.head.cells].map((cell) => cell.offsetWidth);
    widths.forEach((width, index) => (this.head.cells[index]!.style.minWidth = `${width}px`));
  }

  private paintActive(): void {
    for (const cell of this.body.querySelectorAll("[aria-selected]")) cell.removeAttribute("aria-selected");
    const cell = document.getElementById(`${this.id}-${this.active.row}-${this.active.column}`);
    if (cell === null || !this.table.contains(cell)) {
      this.table.removeAttribute("aria-activedescendant");
      return;
    }
    cell.setAttribute("aria-selected", "true");
    this.table.setAttribute("aria-activedescendant", cell.id);
  }

  private onClick(event: MouseEvent): void {
    const row = (event.target as Element).closest<HTMLElement>("tr[data-index]");
    if (row === null || !(document.getSelection()?.isCollapsed ?? true)) return;
    const cell = (event.target as Element).closest<HTMLTableCellElement>("td, th");
    this.active = { row: Number(row.dataset["index"]), column: Math.max(0, (cell?.cellIndex ?? 1) - 1) };
    this.paintActive();
    this.toggleDetails();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.metaKey || event.altKey || !this.act(event.key, event.ctrlKey)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Do what a key means; return whether it means something. */
  private act(key: string, ctrl: boolean): boolean {
    const { row, column } = this.active;
    const page = Math.max(1, Math.floor(this.frame.clientHeight / ROW) - 2);
    const last = { row: this.node.items.length - 1, column: Math.min(this.columns.size, MOST_COLUMNS) - 1 };
    const moves: Record<string, [number, number]> = {
      ArrowDown: [row + 1, column],
      ArrowUp: [row - 1, column],
      ArrowRight: [row, column + 1],
      ArrowLeft: [row, column - 1],
      PageDown: [row + page, column],
      PageUp: [row - page, column],
      Home: [ctrl ? 0 : row, 0],
      End: [ctrl ? last.row : row, last.column],
    };
    if (key === "Enter" && row >= 0) this.toggleDetails();
    else if (key === "Escape" && this.shown !== undefined) this.closeDetails();
    else if (key in moves && (!ctrl || key === "Home" || key === "End")) {
      const [toRow, toColumn] = moves[key]!;
      this.active = { row: clamp(toRow, last.row), column: clamp(toColumn, last.column) };
      this.reveal();
    } else return false;
    return true;
  }

  /** Bring the active cell in sight. */
  private reveal(): void {
    const { frame, head } = this;
    const top = this.active.row * ROW;
    const space = frame.clientHeight - head.offsetHeight;
    if (top < frame.scrollTop) frame.scrollTop = top;
    else if (top + ROW > frame.scrollTop + space) frame.scrollTop = top + ROW - space;
    this.paintRows();
    const cell = document.getElementById(`${this.id}-${this.active.row}-${this.active.column}`);
    cell?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }

  /** Show the active row below the table as a tree, with the whole of each value; or put it away. */
  private toggleDetails(): void {
    const { row } = this.active;
    const wasThere = this.shown?.row === row;
    this.closeDetails();
    if (wasThere) return;
    const tree = new Tree(this.node.items[row]!, `Row ${row}`);
    this.shown = { row, tree };
    tree.update(this.over);
    this.details.append(make("div", "title", {}, `Row ${row}`), tree.element);
  }

  private closeDetails(): void {
    this.shown?.tree.dispose();
    this.shown = undefined;
    this.details.replaceChildren();
  }

  private onDetailsKey(event: KeyboardEvent): void {
    if (event.key !== "Escape") return;
    this.closeDetails();
    this.table.focus();
    event.stopPropagation();
  }
}

function cellOf(node: JSONNode | undefined, column: Column, id: string): HTMLElement {
  const cell = make("td", column.numeric ? "number" : "cell", { id });
  if (node === undefined) return cell;
  cell.dataset["kind"] = node.kind;
  if (node.open) cell.setAttribute("data-open", "");
  paintCut(cell, node.kind === "string" ? node.text : compact(node, LONGEST.cell), LONGEST.cell);
  return cell;
}

function paintCut(into: HTMLElement, text: string, longest: number): void {
  plain().paint(into, text.slice(0, longest).replace(/\s+/g, " "));
  if (text.length > longest) into.append("…");
}

function setHeight(space: HTMLTableRowElement, height: number): void {
  space.hidden = height <= 0;
  space.style.height = `${Math.max(0, height)}px`;
}

function clamp(number: number, most: number): number {
  return Math.max(0, Math.min(number, most));
}
