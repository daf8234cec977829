import type { Lane, Token, TokensState } from "./protocol";

export function token(text: string, fields: Partial<Token> = {}): Token {
  return { text, p: 0.6, bits: 1.2, rank: 0, id: 1, others: [], ...fields };
}

export function lane(texts: string[], fields: Partial<Lane> = {}): Lane {
  return {
    id: "run",
    title: "model",
    parent: null,
    at: null,
    own: null,
    token: "",
    share: null,
    status: "done",
    error: "",
    branching: true,
    tokens: texts.map((text, id) => token(text, { id, others: [[id, text, 0.6], [90, " other", 0.3]] })),
    changed: [],
    ...fields,
  };
}

export function state(...lanes: Lane[]): TokensState {
  return { seq: 1, by: "probability", lanes };
}
