// Where each line stands, in pixels from the first one's top.

import type { Line } from "./outline";
import { HEIGHT } from "./row";

export class Layout {
  /** The height of what lines hold, by their ids, as measured. */
  readonly heights = new Map<number, number>();
  /** The height of all lines. */
  height = 0;
  private tops: number[] = [];

  /** Place the lines; `isOpen` tells which show what they hold. */
  place(lines: Line[], isOpen: (id: number) => boolean): void {
    this.height = 0;
    this.tops = lines.map(({ id }) => {
      const top = this.height;
      this.height += HEIGHT + (isOpen(id) ? (this.heights.get(id) ?? 0) : 0);
      return top;
    });
  }

  top(index: number): number {
    return this.tops[index] ?? 0;
  }

  /** Return the last line that begins at `y` or above. */
  lineAt(y: number): number {
    let [low, high] = [0, this.tops.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.tops[middle]! <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }
}
