import { describe, expect, it } from "vitest";
import { place, scaleOf, ticks } from "./scale";
import { duration, tickWords } from "./words";

describe("the axis", () => {
  it("grows in leaps while the run goes on, with room for what comes", () => {
    const ends = new Set<number>();
    for (let now = 0; now < 100; now += 0.05) {
      const { end } = scaleOf(0, now, false);
      expect(end).toBeGreaterThan(now);
      expect(now < 1 || now / end > 0.5).toBe(true);
      ends.add(end);
    }
    expect(ends.size).toBeLessThan(22);
  });

  it("ends with the run", () => {
    expect(scaleOf(0.5, 3, true)).toEqual({ start: 0.5, end: 3 });
    expect(scaleOf(0, 0, true).end).toBeGreaterThan(0);
  });

  it("keeps what is outside at its ends", () => {
    const scale = { start: 1, end: 3 };
    expect([0, 1, 2, 3, 9].map((time) => place(scale, time))).toEqual([0, 0, 0.5, 1, 1]);
  });

  it.each([1e-6, 0.004, 1, 1.5, 3, 60, 86_400])("has few marks, at round times: %s s", (length) => {
    const marks = ticks({ start: 5, end: 5 + length });
    expect(marks[0]).toBe(0);
    expect(marks.length).toBeGreaterThan(1);
    expect(marks.length).toBeLessThan(8);
    expect(marks.at(-1)).toBeLessThanOrEqual(length * (1 + 1e-6));
    for (const mark of marks) expect(tickWords(mark).length).toBeLessThan(10);
  });
});

describe("durations", () => {
  it.each([
    [0, ""],
    [0.0004, "0.4 ms"],
    [0.0456, "46 ms"],
    [0.5, "0.50 s"],
    [9.994, "9.99 s"],
    [42.42, "42.4 s"],
    [400.4, "6 min 40 s"],
    [7260, "2 h 1 min"],
  ])("%s s read as in the picture: %s", (seconds, words) => {
    expect(duration(seconds)).toBe(words);
  });
});
