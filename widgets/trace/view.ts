// One view of a timeline: the rows in sight, painted from the state a few times a second.

import { Footer, Header } from "./around";
import { Axis } from "./axis";
import { DetailsView } from "./details";
import { make, set, style } from "./dom";
import { ownKeys } from "../shared/keys";
import { Layout } from "./layout";
import { current, GAP, outline, type Outline } from "./outline";
import { isOver, runOf, type TraceState } from "./protocol";
import { HEIGHT, RowView, type Frame } from "./row";
import { scaleOf } from "./scale";
import type { TraceStore } from "./store";
import { told } from "./words";

/** Milliseconds between two paintings, and between two when only time goes by. */
const PAINT = 250;
const TICK = 500;
/** Rows above and below those in sight that are there already. */
const SPARE = 8;
/** The height of the rows' window in pixels, where the page doesn't know it yet. */
const WINDOW = 560;

export class TraceView {
  readonly element: HTMLElement;
  private readonly store: TraceStore;
  private readonly header = new Header();
  private readonly footer = new Footer();
  private readonly axis = new Axis();
  private readonly layout = new Layout();
  private readonly list = make("div", "list", { role: "list", "aria-label": "Steps, prefill, decode, tools" });
  private readonly chart: HTMLElement;
  private readonly rows = new Map<number, RowView>();
  private readonly open = new Map<number, DetailsView>();
  private readonly sizes: ResizeObserver | undefined;
  private readonly ends: (() => void)[];
  private outline: Outline = { lines: [], late: 0 };
  private places = new Map<number, number>();
  private outlined = "";
  private whole = false;
  private active = 0;
  private pointed: number | undefined;
  /** What was unfolded last, until something else is done. */
  private opened: number | undefined;
  private follows: boolean;
  private paintTimer: ReturnType<typeof setTimeout> | undefined;
  private paintedAt = -Infinity;

  constructor(store: TraceStore) {
    this.store = store;
    this.follows = !isOver(store.state);
    this.chart = make("div", "chart", {}, this.axis.words, make("div", "canvas", {}, this.axis.lines, this.list));
    this.element = this.build();
    if (typeof ResizeObserver !== "undefined") this.sizes = new ResizeObserver(() => this.measure());
    const clock = setInterval(() => this.tick(), TICK);
    this.ends = [store.subscribe(() => this.schedule()), ownKeys(this.list), () => clearInterval(clock)];
    this.listen();
    this.paint();
  }

  dispose(): void {
    for (const end of this.ends) end();
    clearTimeout(this.paintTimer);
    this.sizes?.disconnect();
    for (const details of this.open.values()) details.dispose();
    this.element.remove();
  }

  private build(): HTMLElement {
    const parts = [this.header.element, this.chart, this.footer.element];
    const section = make("section", "view", { role: "group", "aria-label": "Timeline" }, ...parts);
    section.classList.add("llmkit-timeline");
    return section;
  }

  private listen(): void {
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("focusin", (event) => this.onFocus(event));
    this.list.addEventListener("focusout", () => this.tell());
    this.list.addEventListener("pointerover", (event) => this.onPointer(lineOf(event.target)));
    this.list.addEventListener("pointerleave", () => this.onPointer(undefined));
    this.chart.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.chart.addEventListener("wheel", () => (this.opened = undefined), { passive: true });
  }

  // -- painting ---------------------------------------------------------------------------------------------------

  /** Paint soon: at once when it was quiet, or when it is over. */
  private schedule(): void {
    const over = isOver(this.store.state);
    if (over) clearTimeout(this.paintTimer);
    else if (this.paintTimer !== undefined) return;
    const delay = over ? 0 : Math.max(0, this.paintedAt + PAINT - performance.now());
    this.paintTimer = setTimeout(() => this.paint(), delay);
  }

  /** Time goes by for what is open; nobody needs to see that on a hidden page. */
  private tick(): void {
    const { state, lost } = this.store;
    if (!isOver(state) && !lost && state.rows.length > 0 && !document.hidden) this.schedule();
  }

  private paint(): void {
    clearTimeout(this.paintTimer);
    this.paintTimer = undefined;
    this.paintedAt = performance.now();
    const { state, now } = this.store;
    this.paintState(state);
    this.header.paint(this.store);
    this.paintOutline(state);
    const scale = scaleOf(runOf(state)?.start ?? 0, now, isOver(state));
    this.axis.paint(scale);
    for (const [id, details] of this.open) if (state.rows[id] !== undefined) details.update(state.rows[id]);
    this.layout.place(this.outline.lines, (id) => this.open.has(id));
    style(this.list, "height", `${this.layout.height}px`);
    this.follow();
    this.paintRows({ scale, now, whole: this.whole, lines: this.outline.lines.length });
    this.footer.paint(this.store, this.outline.late);
    this.tell();
  }

  private paintState(state: TraceState): void {
    const over = isOver(state);
    const lost = this.store.lost && !over;
    set(this.element, "data-status", lost ? "lost" : (runOf(state)?.status ?? "open"));
    set(this.element, "data-doing", over || lost ? "" : (current(state.rows)?.kind ?? ""));
    set(this.element, "aria-busy", String(!over && !lost));
  }

  /** Put the rows in order again, if there are new ones or the run has ended. */
  private paintOutline(state: TraceState): void {
    const shape = `${this.store.shape}/${isOver(state)}/${this.whole}/${state.rows.length}`;
    if (shape === this.outlined) {
      for (const line of this.outline.lines) line.row = state.rows[line.row.id] ?? line.row;
      return;
    }
    this.outlined = shape;
    this.outline = outline(state.rows, this.whole);
    this.places = new Map(this.outline.lines.map((line, index) => [line.id, index]));
    if (!this.places.has(this.active)) this.active = this.places.has(GAP) ? GAP : 0;
  }

  /** Stay at the end, where the run is, as long as nobody looks at something else. */
  private follow(): void {
    if (!this.follows || this.open.size > 0 || this.list.contains(document.activeElement)) return;
    this.chart.scrollTop = this.chart.scrollHeight;
  }

  /** Paint the rows in sight, and the one that the keyboard is at. */
  private paintRows(frame: Frame): void {
    const wanted = new Set<number>();
    const { lines } = this.outline;
    const [first, last] = this.sight();
    for (let index = first; index <= last; index++) wanted.add(index);
    const active = this.places.get(this.active);
    if (active !== undefined) wanted.add(active);
    for (const [id, view] of this.rows) {
      if (!wanted.has(this.places.get(id) ?? -1)) this.drop(id, view);
    }
    let before: HTMLElement | null = null;
    for (const index of [...wanted].sort((one, other) => one - other)) {
      const line = lines[index]!;
      const view: RowView = this.rows.get(line.id) ?? this.add(line.id, before);
      view.head.tabIndex = line.id === this.active ? 0 : -1;
      view.paint(line, index, this.layout.top(index), frame, this.open.get(line.id));
      before = view.element;
    }
  }

  private add(id: number, before: HTMLElement | null): RowView {
    const view = new RowView(id);
    this.rows.set(id, view);
    if (before === null) this.list.prepend(view.element);
    else before.after(view.element);
    return view;
  }

  private drop(id: number, view: RowView): void {
    view.element.remove();
    this.rows.delete(id);
  }

  /** Return the first and the last line in sight, with some to spare. */
  private sight(): [number, number] {
    const top = this.chart.scrollTop;
    const bottom = top + (this.chart.clientHeight || WINDOW);
    const last = this.outline.lines.length - 1;
    return [Math.max(0, this.layout.lineAt(top) - SPARE), Math.min(last, this.layout.lineAt(bottom) + SPARE)];
  }

  /** Say below the rows what is known of the one that is pointed at, or that has the focus. */
  private tell(): void {
    const focused = this.list.contains(document.activeElement) ? this.active : undefined;
    const index = this.places.get(this.pointed ?? focused ?? NaN);
    const line = index === undefined ? undefined : this.outline.lines[index];
    const start = runOf(this.store.state)?.start ?? 0;
    this.footer.tell(line === undefined ? "" : told(line, start, this.store.now));
  }

  // -- what a person does -----------------------------------------------------------------------------------------

  private toggle(id: number): void {
    if (id === GAP) {
      this.whole = !this.whole;
    } else if (this.open.has(id)) {
      this.open.get(id)!.dispose();
      this.open.delete(id);
    } else {
      const details = new DetailsView(id, this.store, () => this.measure());
      this.open.set(id, details);
      this.opened = id;
      this.sizes?.observe(details.element);
    }
    this.paint();
    this.measure();
  }

  /** Take note of how high the details in sight are, and make room. */
  private measure(): void {
    let changed = false;
    for (const [id, details] of this.open) {
      if (!details.element.isConnected || details.element.offsetHeight === this.layout.heights.get(id)) continue;
      this.layout.heights.set(id, details.element.offsetHeight);
      changed = true;
    }
    if (!changed) return;
    this.paint();
    if (this.opened !== undefined) this.revealDetails(this.opened);
  }

  /** Scroll so that what was just unfolded is in sight, with its row. */
  private revealDetails(id: number): void {
    const index = this.places.get(id);
    if (index === undefined) return;
    const top = this.layout.top(index);
    const bottom = top + HEIGHT + (this.layout.heights.get(id) ?? 0);
    const room = this.chart.clientHeight - this.axis.words.offsetHeight;
    if (bottom > this.chart.scrollTop + room) this.chart.scrollTop = Math.min(top, bottom - room);
  }

  private onClick(event: Event): void {
    const line = lineOf(event.target);
    if (line === undefined || !onHead(event.target)) return;
    this.active = line;
    this.toggle(line);
    this.rows.get(line)?.head.focus({ preventScroll: true });
  }

  private onKey(event: KeyboardEvent): void {
    if (!onHead(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!this.act(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Do what a key stands for; return whether it stands for anything. */
  private act(key: string): boolean {
    const index = this.places.get(this.active) ?? 0;
    const isOpen = this.active === GAP ? this.whole : this.open.has(this.active);
    const page = Math.max(1, Math.floor((this.chart.clientHeight || WINDOW) / HEIGHT) - 2);
    const moves: Record<string, number> = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: this.outline.lines.length - 1,
    };
    if (key in moves) this.move(moves[key]!);
    else if (key === "Enter" || key === " ") this.toggle(this.active);
    else if (key === "ArrowRight") isOpen || this.toggle(this.active);
    else if (key === "ArrowLeft") isOpen ? this.toggle(this.active) : this.move(this.above(index));
    else if (key === "Escape" && isOpen) this.toggle(this.active);
    else return false;
    return true;
  }

  /** Return the line that a line is part of. */
  private above(index: number): number {
    const parent = this.outline.lines[index]?.row.parent;
    return this.places.get(parent ?? 0) ?? 0;
  }

  private move(index: number): void {
    const target = Math.min(this.outline.lines.length - 1, Math.max(0, index));
    this.active = this.outline.lines[target]?.id ?? 0;
    this.pointed = this.opened = undefined;
    this.reveal(target);
    this.paint();
    this.rows.get(this.active)?.head.focus({ preventScroll: true });
  }

  /** Scroll so that a line is in sight. */
  private reveal(index: number): void {
    const top = this.layout.top(index);
    const room = (this.chart.clientHeight || WINDOW) - this.axis.words.offsetHeight - HEIGHT;
    if (top < this.chart.scrollTop) this.chart.scrollTop = top;
    else if (top > this.chart.scrollTop + room) this.chart.scrollTop = top - room;
  }

  private onFocus(event: FocusEvent): void {
    const line = lineOf(event.target);
    if (line === undefined || line === this.active) return void this.tell();
    this.active = line;
    this.paint();
  }

  private onPointer(line: number | undefined): void {
    if (line === this.pointed) return;
    this.pointed = line;
    this.tell();
  }

  private onScroll(): void {
    const { scrollTop, clientHeight, scrollHeight } = this.chart;
    this.follows = scrollTop + clientHeight >= scrollHeight - HEIGHT / 2 && !isOver(this.store.state);
    const [first, last] = this.sight();
    const there = (index: number): boolean => this.rows.has(this.outline.lines[index]?.id ?? NaN);
    if (!there(Math.min(last, first + SPARE / 2)) || !there(Math.max(first, last - SPARE / 2))) this.paint();
  }
}

function lineOf(target: EventTarget | null): number | undefined {
  const row = target instanceof Element ? target.closest<HTMLElement>(".llmkit-timeline-row") : null;
  return row === null ? undefined : Number(row.dataset["id"]);
}

/** Whether an event is about a row itself and not about its details. */
function onHead(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(".llmkit-timeline-head") !== null;
}
