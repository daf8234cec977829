import { describe, expect, it } from "vitest";
import { Axes, spans, suggested } from "./axes";
import { shown } from "./cell";
import { diff, likeness, type Piece } from "./diff";
import { Layout } from "./layout";
import { state } from "./testing";
import { duration, progressWords, statusWords } from "./words";
import { cell } from "./testing";

const FACTORS = { topic: ["gravity", "DNA"], who: ["child", "expert"], temperature: ["0", "0.8"], model: ["only"] };

describe("axes", () => {
  it("begin as suggested, and give every factor that varies a place", () => {
    const made = state(FACTORS, { rows: ["topic", "model"], columns: ["temperature"] });
    expect(suggested(made)).toEqual({ rows: [0, 1], columns: [2] });
  });

  it("find each cell, whichever factors make rows", () => {
    const made = state(FACTORS);
    for (const [rows, columns] of [[[0], [1, 2]], [[2, 0], [1]], [[], [0, 1, 2]], [[1, 2, 0], []]] as const) {
      const axes = new Axes(made, [...rows], [...columns]);
      const found = axes.rows.lines.flatMap((_, row) => axes.columns.lines.map((_, column) => axes.at(row, column)));
      expect(found.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      axes.rows.lines.forEach((line, row) => {
        const place = made.cells[axes.at(row, 0)!]!.place;
        expect(rows.map((factor) => place[factor])).toEqual(line);
      });
    }
  });

  it("have headers over all lines that they are about, also where only a few are in sight", () => {
    const axes = new Axes(state(FACTORS), [0], [1, 2]);
    expect(spans(axes.columns, 0, 0, 3)).toEqual([
      { from: 0, count: 2, depth: 0, level: 0 },
      { from: 2, count: 2, depth: 0, level: 1 },
    ]);
    expect(spans(axes.columns, 0, 3, 3)).toEqual([{ from: 2, count: 2, depth: 0, level: 1 }]);
    expect(spans(axes.columns, 1, 1, 2).map((span) => [span.from, span.count])).toEqual([[1, 1], [2, 1]]);
  });

  it("leave places empty that no cell has", () => {
    const made = state({ row: ["a", "b"], model: ["x", "y"] });
    made.cells = made.cells.slice(0, 3);
    expect(new Axes(made, [0], [1]).at(1, 1)).toBeUndefined();
  });
});

describe("the layout", () => {
  const layout = new Layout({ rows: 100, columns: 40, rowDepth: 1, columnDepth: 2 }, 1000);

  it("has content for what is in sight and little more", () => {
    const { rows, columns } = layout.visible({ left: 2500, top: 5000, width: 1000, height: 620 });
    expect((rows.last - rows.first + 1) * (columns.last - columns.first + 1)).toBeLessThanOrEqual(42);
    expect(rows.first * layout.row).toBeLessThanOrEqual(5000);
    expect((columns.last + 1) * layout.column).toBeGreaterThanOrEqual(2500 + 1000 - layout.side);
  });

  it("scrolls no further than it must to bring a cell into sight", () => {
    const window = { left: 0, top: 0, width: 1000, height: 620 };
    expect(layout.reveal(0, 0, window)).toEqual({ left: 0, top: 0 });
    const { left, top } = layout.reveal(50, 20, window);
    expect(left).toBe(21 * layout.column - (1000 - layout.side));
    expect(top).toBe(51 * layout.row - (620 - layout.head));
    expect(layout.reveal(50, 20, { ...window, left, top })).toEqual({ left, top });
  });

  it("fills the width with few columns", () => {
    const few = new Layout({ rows: 2, columns: 2, rowDepth: 1, columnDepth: 1 }, 1000);
    expect(few.width).toBeGreaterThan(990);
  });
});

describe("the difference of two texts", () => {
  const side = (pieces: Piece[], own: Piece["kind"]): string =>
    pieces.filter(({ kind }) => kind === "both" || kind === own).map(({ text }) => text).join("");

  it("is told word by word", () => {
    expect(diff("the quick brown fox", "the slow brown dog")).toEqual([
      { kind: "both", text: "the " },
      { kind: "left", text: "quick" },
      { kind: "right", text: "slow" },
      { kind: "both", text: " brown " },
      { kind: "left", text: "fox" },
      { kind: "right", text: "dog" },
    ]);
  });

  it.each([
    ["", ""],
    ["", "new"],
    ["same", "same"],
    ["a  b\n\nc", "a b\nc d"],
    ["日本語 <b>x</b> 👩‍👩‍👧", "日本 <i>x</i> 👩‍👧"],
    ["x y ".repeat(30), "y x ".repeat(29)],
  ])("has both texts whole: %j, %j", (left, right) => {
    const pieces = diff(left, right);
    expect(side(pieces, "left")).toBe(left);
    expect(side(pieces, "right")).toBe(right);
  });

  it("has both texts whole when they are too long to be told word by word", () => {
    const long = (word: string): string => Array.from({ length: 4_000 }, (_, line) => `${word}${line} of many\n`).join("");
    const pieces = diff(long("a"), long("b"));
    expect(side(pieces, "left")).toBe(long("a"));
    expect(side(pieces, "right")).toBe(long("b"));
  });

  it("has a likeness between 0 and 1", () => {
    expect(likeness(diff("a b", "a b"))).toBe(1);
    expect(likeness(diff("a", "b"))).toBe(0);
    expect(likeness(diff("", ""))).toBe(0);
  });
});

describe("a cell's part of a long answer", () => {
  it("is the beginning once it has ended, and what comes while it grows", () => {
    const text = Array.from({ length: 900 }, (_, number) => `word${number}`).join("\n");
    expect(text.startsWith(shown(text, true))).toBe(true);
    expect(text.endsWith(shown(text, false))).toBe(true);
    expect(shown(text, false).length).toBeLessThan(2_400);
  });

  it("grows at its end most of the time, so that little is rendered anew", () => {
    let text = "";
    let restarts = 0;
    let before = "";
    for (let number = 0; number < 2_000; number++) {
      text += `w${number}\n`;
      const now = shown(text, false);
      if (!now.startsWith(before)) restarts += 1;
      before = now;
    }
    expect(restarts).toBeLessThan(20);
  });
});

describe("words", () => {
  it("tell how far it is", () => {
    const made = state(FACTORS);
    made.progress = { done: 3, failed: 1, total: 8, tokens: 90, rate: 41.6, left: 125, time: null };
    expect(progressWords(made)).toBe("3 of 8 done · 1 failed · 42 tokens/s · about 2 min left");
    expect(progressWords(made, true)).toBe("3 of 8 done · 1 failed · the kernel was restarted");
    expect(duration(0.04)).toBe("0.0 s");
  });

  it("tell what a cell does", () => {
    expect(statusWords(cell({ status: "prefill", share: 40 }))).toBe("Reading 40 %");
    expect(statusWords(cell({ status: "done", finish_reason: "length" }))).toBe("Cut at the limit");
    expect(statusWords(cell({ status: "decoding", reasoning: "hm" }))).toBe("Reasoning");
  });
});
