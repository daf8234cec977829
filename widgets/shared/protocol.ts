// What both views send of values: llmkit/notebook/values.py writes it.

/** The beginning of a text, and how many characters more there are. */
export interface Cut {
  text: string;
  more: number;
}

export type Value = { short: string } & (
  | ({ kind: "text" | "json" } & Cut)
  | {
      kind: "table";
      columns: string[];
      numeric: boolean[];
      /** Each row's index comes first. */
      rows: string[][];
      more_rows: number;
      more_columns: number;
    }
  | { kind: "image"; mime: string; data: string }
);
