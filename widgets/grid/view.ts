// One view of a comparison: a grid of which only the cells in sight are on the page, and what opens over it.

import { announce } from "../shared/announcer";
import { copy } from "../shared/copy";
import { ownKeys } from "../shared/keys";
import { Axes, suggested } from "./axes";
import type { CellActions, CellView } from "./cell";
import { ComparedCells } from "./compared";
import { make, set } from "./dom";
import { Heads } from "./heads";
import { Judging } from "./judging";
import { Layout, type Window } from "./layout";
import { OpenedCell } from "./opened";
import { Painter } from "./painter";
import { allOver, isOver } from "./protocol";
import { insertInOrder, RowView } from "./row";
import type { Changed, GridStore } from "./store";
import { Toolbar } from "./toolbar";

/** The size of the grid's window, where the page doesn't know it yet. */
const WINDOW = { width: 960, height: 620 };
/** A grid that was used this lately isn't replaced by its static output, in milliseconds. */
const IN_USE = 30_000;

export class GridView {
  readonly element: HTMLElement;
  private readonly store: GridStore;
  private readonly toolbar: Toolbar;
  private readonly heads = new Heads();
  private readonly canvas = make("div", "canvas", { role: "presentation" }, this.heads.element);
  private readonly scroller = make("div", "scroller", { role: "grid", "aria-label": "Answers", "aria-multiselectable": "true" }, this.canvas);
  private readonly actions: CellActions;
  private readonly painter = new Painter((index) => this.paintCell(index), () => this.paintRest());
  private readonly rows = new Map<number, RowView>();
  private readonly ends: (() => void)[];
  private axes!: Axes;
  private layout!: Layout;
  private placing: { rows: number[]; columns: number[] };
  private suggestion: string;
  private active = { row: 0, column: 0 };
  private marked: number | undefined;
  private dialog: OpenedCell | ComparedCells | Judging | undefined;
  private width = WINDOW.width;
  private useTimer: ReturnType<typeof setTimeout> | undefined;
  private frame: ReturnType<typeof requestAnimationFrame> | undefined;

  constructor(store: GridStore) {
    this.store = store;
    this.placing = suggested(store.state);
    this.suggestion = `${store.state.rows}/${store.state.columns}`;
    this.toolbar = new Toolbar({
      stopAll: () => store.stopAll(),
      judge: () => this.show(new Judging(store, () => this.onClosed())),
      unmark: () => this.mark(undefined),
      move: (factor) => this.move(factor),
      swap: () => this.place(this.placing.columns, this.placing.rows),
    });
    this.actions = {
      open: (index) => this.openCell(index),
      stop: (index) => store.stop(index),
      rerun: (index) => store.rerun(index),
      mark: (index) => this.mark(index),
      copy: (index) => void this.copy(index),
    };
    this.element = make("section", "view", { role: "group", "aria-label": "Comparison" }, this.toolbar.element, this.scroller);
    this.element.classList.add("llmkit-grid");
    this.ends = [store.subscribe((changed) => this.onChange(changed)), ownKeys(this.scroller), ...this.watch()];
    this.listen();
    this.arrange();
  }

  dispose(): void {
    this.dialog?.close();
    for (const end of this.ends) end();
    clearTimeout(this.useTimer);
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    this.painter.dispose();
    this.element.remove();
  }

  private listen(): void {
    this.scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.onKey(event));
    this.scroller.addEventListener("focusin", (event) => this.onFocus(event));
    this.scroller.addEventListener("dblclick", (event) => {
      const index = cellOf(event.target);
      if (index !== undefined) this.openCell(index);
    });
    for (const name of ["keydown", "pointerdown", "wheel"]) {
      this.element.addEventListener(name, () => this.used(), { passive: true });
    }
    this.element.addEventListener("focusout", (event) => {
      const to = event.relatedTarget;
      if (!(to instanceof Node && this.element.contains(to)) && this.dialog === undefined) this.unused();
    });
  }

  /** Follow the grid's width, and whether it is in sight at all. */
  private watch(): (() => void)[] {
    const ends: (() => void)[] = [];
    if (typeof ResizeObserver !== "undefined") {
      const sizes = new ResizeObserver(() => this.measure());
      sizes.observe(this.element);
      ends.push(() => sizes.disconnect());
    }
    if (typeof IntersectionObserver !== "undefined") {
      const sight = new IntersectionObserver((entries) => this.painter.sleep(!entries.at(-1)!.isIntersecting), { rootMargin: "200px" });
      sight.observe(this.element);
      ends.push(() => sight.disconnect());
    }
    return ends;
  }

  // -- where everything stands ------------------------------------------------------------------------------------

  /** Make the grid anew: other factors make rows and columns, or its width has changed. */
  private arrange(): void {
    const { state } = this.store;
    const { rows, columns } = this.placing;
    this.axes = new Axes(state, rows, columns);
    const shape = {
      rows: this.axes.rows.lines.length,
      columns: this.axes.columns.lines.length,
      rowDepth: rows.length,
      columnDepth: Math.max(1, columns.length),
    };
    this.layout = new Layout(shape, this.width);
    for (const row of this.rows.values()) row.element.remove();
    this.rows.clear();
    this.heads.forget();
    Object.assign(this.canvas.style, { width: `${this.layout.width}px`, height: `${this.layout.height}px` });
    set(this.scroller, "aria-rowcount", String(shape.rows + shape.columnDepth));
    set(this.scroller, "aria-colcount", String(shape.columns + shape.rowDepth));
    this.active = { row: Math.min(this.active.row, shape.rows - 1), column: Math.min(this.active.column, shape.columns - 1) };
    this.toolbar.paintAxes(state, rows, columns);
    this.paintRest();
    this.showVisible();
  }

  private place(rows: number[], columns: number[]): void {
    const index = this.axes.at(this.active.row, this.active.column);
    this.placing = { rows: [...rows], columns: [...columns] };
    this.arrange();
    if (index !== undefined) this.active = this.find(index) ?? this.active;
    this.scroller.scrollTo?.({ left: 0, top: 0 });
    this.showVisible();
  }

  private move(factor: number): void {
    const { rows, columns } = this.placing;
    const without = (numbers: number[]): number[] => numbers.filter((number) => number !== factor);
    if (rows.includes(factor)) this.place(without(rows), [...columns, factor]);
    else this.place([...rows, factor], without(columns));
  }

  private measure(): void {
    const width = this.scroller.clientWidth;
    if (width === 0 || Math.abs(width - this.width) < 2) return;
    this.width = width;
    const focused = this.scroller.contains(document.activeElement);
    this.arrange();
    if (focused) this.focusActive();
  }

  private find(index: number): { row: number; column: number } | undefined {
    for (let row = 0; row < this.layout.rows; row++) {
      for (let column = 0; column < this.layout.columns; column++) {
        if (this.axes.at(row, column) === index) return { row, column };
      }
    }
    return undefined;
  }

  private get window(): Window {
    const { scrollLeft: left, scrollTop: top, clientWidth, clientHeight } = this.scroller;
    return { left, top, width: clientWidth || WINDOW.width, height: clientHeight || WINDOW.height };
  }

  // -- painting ---------------------------------------------------------------------------------------------------

  /** Have content for the cells in sight, and for the one with the focus; for no others. */
  private showVisible(): void {
    const { rows, columns } = this.layout.visible(this.window);
    const { active } = this;
    const depth = Math.max(1, this.placing.columns.length);
    for (const [row, view] of this.rows) {
      if ((row >= rows.first && row <= rows.last) || row === active.row) continue;
      view.element.remove();
      this.rows.delete(row);
    }
    const wanted = new Set([active.row]);
    for (let row = rows.first; row <= rows.last; row++) wanted.add(row);
    const added: CellView[] = [];
    for (const row of wanted) {
      if (row < 0) continue;
      let view = this.rows.get(row);
      if (view === undefined) {
        view = new RowView(row, this.axes, this.layout, this.store.state.factors, depth + 1);
        insertInOrder(this.canvas, view.element, this.rows, row);
        this.rows.set(row, view);
      }
      const inSight = row >= rows.first && row <= rows.last;
      added.push(...view.show(inSight ? columns : NONE, row === active.row ? active.column : undefined, this.actions));
    }
    this.heads.paint(this.axes, this.layout, this.store.state.factors, columns);
    for (const cell of added) this.paint(cell);
    this.paintActive();
  }

  private paintCell(index: number): boolean {
    const views = [...this.rows.values()].flatMap((row) => [...row.cells.values()]);
    const view = views.find((cell) => cell.index === index);
    if (view !== undefined) this.paint(view);
    if (this.dialog instanceof OpenedCell && this.dialog.index === index) this.dialog.update();
    if (this.dialog instanceof ComparedCells && this.dialog.cells.includes(index)) this.dialog.update();
    return view !== undefined;
  }

  private paint(view: CellView): void {
    const cell = this.store.state.cells[view.index];
    if (cell !== undefined) view.update(cell, this.store.lost, view.index === this.marked);
  }

  private paintRest(): void {
    const { state, lost } = this.store;
    const over = allOver(state);
    set(this.element, "data-status", lost && !over ? "lost" : over ? (state.progress.failed > 0 ? "error" : "done") : "decoding");
    set(this.element, "aria-busy", String(!over && !lost));
    this.toolbar.paint(state, lost, this.marked !== undefined);
  }

  private paintActive(): void {
    for (const [row, view] of this.rows) {
      for (const [column, cell] of view.cells) {
        cell.element.tabIndex = row === this.active.row && column === this.active.column ? 0 : -1;
      }
    }
  }

  private onChange(changed: Changed): void {
    const { rows, columns } = this.store.state;
    if (`${rows}/${columns}` !== this.suggestion) {
      this.suggestion = `${rows}/${columns}`;
      const { rows: down, columns: across } = suggested(this.store.state);
      this.place(down, across);
    }
    if (changed !== "all") {
      this.painter.add(changed);
      return;
    }
    if (this.axes.rows.lines.length * this.axes.columns.lines.length < this.store.state.cells.length) this.arrange();
    this.painter.add(this.store.state.cells.keys());
  }

  private onScroll(): void {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.showVisible();
    });
  }

  // -- what a person does -----------------------------------------------------------------------------------------

  private onFocus(event: FocusEvent): void {
    const index = cellOf(event.target);
    const found = index === undefined ? undefined : this.find(index);
    if (found === undefined || (found.row === this.active.row && found.column === this.active.column)) return;
    this.active = found;
    this.paintActive();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.altKey || (event.metaKey && event.key !== "Home" && event.key !== "End")) return;
    const index = this.axes.at(this.active.row, this.active.column);
    if (!this.navigate(event) && (event.ctrlKey || index === undefined || !this.act(event, index))) return;
    event.preventDefault();
    event.stopPropagation();
  }

  private navigate({ key, ctrlKey }: KeyboardEvent): boolean {
    const { row, column } = this.active;
    const { rows, columns } = this.layout;
    const page = Math.max(1, Math.floor((this.window.height - this.layout.head) / this.layout.row));
    const to: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageUp: [row - page, column],
      PageDown: [row + page, column],
      Home: [ctrlKey ? 0 : row, 0],
      End: [ctrlKey ? rows - 1 : row, columns - 1],
    };
    const next = to[key];
    if (next === undefined || (ctrlKey && key !== "Home" && key !== "End")) return false;
    this.active = { row: clamp(next[0], rows), column: clamp(next[1], columns) };
    this.focusActive();
    return true;
  }

  private act({ key, repeat, target }: KeyboardEvent, index: number): boolean {
    const cell = this.store.state.cells[index]!;
    const onButton = target instanceof HTMLButtonElement && (key === "Enter" || key === " ");
    if (repeat || onButton) return false;
    const over = isOver(cell);
    switch (key.toLowerCase()) {
      case "enter":
        this.openCell(index);
        return true;
      case "s":
        if (!over) this.store.stop(index);
        return true;
      case "r":
        if (over && !this.store.lost) this.store.rerun(index);
        return true;
      case "d":
        if (cell.text !== "") this.mark(index);
        return true;
      case "c":
        void this.copy(index);
        return true;
      case "escape":
        this.mark(undefined);
        return true;
      default:
        return false;
    }
  }

  private focusActive(): void {
    const { row, column } = this.active;
    const { left, top } = this.layout.reveal(row, column, this.window);
    this.scroller.scrollLeft = left;
    this.scroller.scrollTop = top;
    this.showVisible();
    this.rows.get(row)?.cells.get(column)?.element.focus({ preventScroll: true });
  }

  /** Choose a cell; the second one that is chosen is compared with the first. */
  private mark(index: number | undefined): void {
    const before = this.marked;
    this.marked = index === before ? undefined : index;
    if (before !== undefined && index !== undefined && index !== before) {
      this.marked = undefined;
      this.show(new ComparedCells([before, index], this.store, () => this.onClosed()));
    } else if (this.marked !== undefined) announce("Chosen. Choose another cell to compare it with.");
    this.store.hold("marked", this.marked !== undefined);
    for (const each of [before, index]) if (each !== undefined) this.paintCell(each);
    this.paintRest();
  }

  private openCell(index: number): void {
    this.show(new OpenedCell(index, this.store, (from, by) => this.neighbour(from, by), () => this.onClosed()));
  }

  /** Return the cell before or after another, in the order in which they are read. */
  private neighbour(index: number, by: number): number | undefined {
    const found = this.find(index);
    if (found === undefined) return undefined;
    const { columns, rows } = this.layout;
    for (let at = found.row * columns + found.column + by; at >= 0 && at < rows * columns; at += by) {
      const next = this.axes.at(Math.floor(at / columns), at % columns);
      if (next !== undefined) return next;
    }
    return undefined;
  }

  private show(dialog: OpenedCell | ComparedCells | Judging): void {
    this.dialog?.close();
    this.dialog = dialog;
    this.store.hold("dialog", true);
    dialog.open(this.element);
  }

  private onClosed(): void {
    this.dialog = undefined;
    this.used();
    this.store.hold("dialog", false);
  }

  private async copy(index: number): Promise<void> {
    const copied = await copy(this.store.state.cells[index]!.text);
    announce(copied ? "Copied" : "Can't copy here");
    const view = [...this.rows.values()].flatMap((row) => [...row.cells.values()]).find((cell) => cell.index === index);
    view?.flash(copied ? "Copied" : "Can't copy here");
  }

  /** What is being used stays: static output would take its place as soon as all cells have ended. */
  private used(): void {
    this.store.hold("use", true);
    clearTimeout(this.useTimer);
    this.useTimer = setTimeout(() => this.unused(), IN_USE);
  }

  private unused(): void {
    clearTimeout(this.useTimer);
    this.store.hold("use", false);
  }
}

const NONE = { first: 0, last: -1 };

function clamp(value: number, count: number): number {
  return Math.min(Math.max(value, 0), count - 1);
}

function cellOf(target: EventTarget | null): number | undefined {
  const element = target instanceof Element ? target.closest<HTMLElement>("[data-cell]") : null;
  return element === null ? undefined : Number(element.dataset["cell"]);
}
