// When cells are painted: soon, but never for long at a time, because what a page spends the model can't have.

/**
 * Painting takes at most a twentieth of the time. What a browser spends afterwards on showing it grows with the number of
 * cells, so that a cell is painted seven times a second when it is alone, and twice when there are many: eyes can follow
 * only one. A stretch of painting stays well below the 50 ms from which on a page feels stuck. All in milliseconds.
 */
const PAINT = { share: 19, atLeast: 150, aCell: 55, cells: 550, atMost: 1_000, stretch: 12, pause: 20 };

export class Painter {
  private readonly waiting = new Set<number>();
  private readonly paintCell: (index: number) => boolean;
  private readonly paintRest: () => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dueAt = Infinity;
  private nextAt = -Infinity;
  private spent = 0;
  private painted = 0;
  private asleep = false;

  /** `paintCell` paints a cell if it is in sight and returns whether it is; `paintRest` paints what isn't a cell's. */
  constructor(paintCell: (index: number) => boolean, paintRest: () => void) {
    this.paintCell = paintCell;
    this.paintRest = paintRest;
  }

  /** Paint these cells, and the rest, as soon as may be. */
  add(cells: Iterable<number>): void {
    for (const cell of cells) this.waiting.add(cell);
    this.schedule(this.nextAt);
  }

  /** Take note of whether anybody could see it: what comes meanwhile is painted when somebody can. */
  sleep(asleep: boolean): void {
    if (asleep === this.asleep) return;
    this.asleep = asleep;
    if (!asleep) this.schedule(-Infinity);
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.waiting.clear();
  }

  private schedule(at: number): void {
    if (this.asleep || this.dueAt <= at) return;
    clearTimeout(this.timer);
    this.dueAt = at;
    this.timer = setTimeout(() => this.paint(), Math.max(0, at - performance.now()));
  }

  private paint(): void {
    this.dueAt = Infinity;
    if (this.asleep) return;
    const began = performance.now();
    if (this.spent === 0) this.paintRest();
    for (const cell of this.waiting) {
      this.waiting.delete(cell);
      if (this.paintCell(cell)) this.painted += 1;
      if (performance.now() - began > PAINT.stretch) break;
    }
    const now = performance.now();
    this.spent += now - began;
    if (this.waiting.size > 0) {
      this.schedule(now + PAINT.pause);
      return;
    }
    const shown = Math.min(PAINT.aCell * this.painted, PAINT.cells);
    this.nextAt = now + Math.min(Math.max(PAINT.share * this.spent, PAINT.atLeast, shown), PAINT.atMost);
    this.spent = this.painted = 0;
  }
}
