import { describe, expect, it } from "vitest";
import { current, GAP, outline } from "./outline";
import { begun, long, row } from "./testing";

describe("the order of rows", () => {
  it("puts each below what it is part of, in the order in which they began", () => {
    const rows = [...begun(), row(5, { parent: 3, kind: "reasoning", start: 0.5 }), row(6, { parent: 1, start: 0.2 })];
    expect(outline(rows, false).lines.map(({ id, depth }) => [id, depth])).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [6, 2],
      [3, 2],
      [5, 3],
      [4, 2],
    ]);
  });

  it("is nothing without rows", () => {
    expect(outline([], false)).toEqual({ lines: [], late: 0 });
  });

  it("leaves out what came after the run's end, and counts it", () => {
    const rows = [row(0, { end: 2, status: "ok" }), row(1, { start: 1, end: 2 }), row(2, { start: 50, end: 51 })];
    const { lines, late } = outline(rows, false);
    expect(lines.map(({ id }) => id)).toEqual([0, 1]);
    expect(late).toBe(1);
  });

  it("makes one line of older steps in a long run", () => {
    const { lines } = outline(long(1000), false);
    const gap = lines.findIndex(({ id }) => id === GAP);
    expect(lines.length).toBeLessThan(300);
    expect(lines[gap]!.gap).toEqual({ steps: 960, rows: 4800, start: 2, end: 961.9 });
    expect(lines.slice(0, gap).map(({ row: { label } }) => label).filter((label) => label.startsWith("step"))).toEqual(["step 0", "step 1"]);
    expect(lines[gap + 1]!.row.label).toBe("step 962");
  });

  it("shows them all when asked, and keeps the line that folds them again", () => {
    const { lines } = outline(long(1000), true);
    expect(lines.length).toBe(5002);
    expect(lines.filter(({ id }) => id === GAP).length).toBe(1);
  });

  it("folds many at a time, so that a run that goes on doesn't move with each step", () => {
    const seen = [100, 101, 102, 103, 104, 105].map((steps) => outline(long(steps), false).lines.find(({ id }) => id === GAP)!.gap!.steps);
    expect(new Set(seen).size).toBe(1);
  });
});

describe("what the run does now", () => {
  it("is told by the last row that goes on", () => {
    expect(current(begun())!.kind).toBe("tool");
    expect(current([row(0), row(1)])!.kind).toBe("run");
    expect(current([row(0, { status: "ok" }), row(1)])!.status).toBe("ok");
    expect(current([])).toBeUndefined();
  });
});
