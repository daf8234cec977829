// What is said of tokens, and the levels of their colours; llmkit/notebook/tokens_words.py agrees.

import type { By, Lane, Token } from "./protocol";

const PROBABILITY_LEVELS = [0.9, 0.5, 0.2, 0.05];
const ENTROPY_LEVELS = [0.5, 1.5, 2.5, 3.5];

export const LEVEL_WORDS: Record<By, string[]> = {
  probability: ["≥ 90 %", "≥ 50 %", "≥ 20 %", "≥ 5 %", "< 5 %"],
  entropy: ["< 0.5 bits", "< 1.5", "< 2.5", "< 3.5", "≥ 3.5 bits"],
};

/** Return how strongly a token is coloured, 0 to 4; -1 if nothing is known of it. */
export function level(token: Token, by: By): number {
  if (by === "probability") {
    const { p } = token;
    return p === null ? -1 : PROBABILITY_LEVELS.filter((bound) => p < bound).length;
  }
  const { bits } = token;
  return bits === null ? -1 : ENTROPY_LEVELS.filter((bound) => bits >= bound).length;
}

export function percent(share: number | null): string {
  if (share === null) return "?";
  if (share < 0.001) return "< 0.1 %";
  if (share > 0.999 && share < 1) return "> 99.9 %";
  return `${(100 * share).toFixed(share >= 0.1 ? 0 : 1)} %`;
}

/** Return a token's text for a sentence: on one line, never empty. */
export function named(text: string): string {
  return text.replace(/\n/g, "").trim() || text.replace(/\n/g, "");
}

export function laneTitle(lane: Lane): string {
  if (lane.parent === null) return lane.title;
  if (lane.token === "") return `drawn anew from token ${lane.at}`;
  return `token ${lane.at}: “${named(lane.token)}” ${percent(lane.share)}`;
}

export function status(lane: Lane): string {
  const count = `${lane.tokens.length.toLocaleString("en")} token${lane.tokens.length === 1 ? "" : "s"}`;
  return { running: `${count} …`, done: count, cancelled: `${count}, cancelled`, failed: `${count}, failed` }[lane.status];
}

/** Return what a screen reader hears of a token. */
export function spoken(token: Token): string {
  const bits = token.bits === null ? "" : `, ${token.bits.toFixed(1)} bits`;
  return `${named(token.text)}, ${percent(token.p)}${bits}`;
}
