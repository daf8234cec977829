// The time axis. While the run goes on it ends at a round number and grows in leaps: bars that shrink a little all the
// time are restless.

const ENDS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
const STEPS = [1, 2, 5, 10];
const SHORTEST = 1;
/** Room for what is about to come. */
const AHEAD = 1.06;

export interface Scale {
  /** Seconds on the rows' clock. */
  start: number;
  end: number;
}

/** Return the axis of a run that began at `start` and is at `now`, or ended then. */
export function scaleOf(start: number, now: number, over: boolean): Scale {
  const length = Math.max(now - start, 0);
  if (over) return { start, end: start + Math.max(length, 1e-6) };
  const wanted = Math.max(SHORTEST, length * AHEAD);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const factor = ENDS.find((each) => each * power >= wanted) ?? 10;
  return { start, end: start + factor * power };
}

/** Return where a time is on the axis, from 0 to 1. */
export function place({ start, end }: Scale, time: number): number {
  return Math.min(1, Math.max(0, (time - start) / (end - start)));
}

/** Return round numbers of seconds from the axis' start on, about five. */
export function ticks({ start, end }: Scale): number[] {
  const length = end - start;
  const rough = length / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = STEPS.find((each) => each * power >= rough * (1 - 1e-9))! * power;
  return Array.from({ length: Math.floor(length / step + 1e-9) + 1 }, (_, index) => index * step);
}
