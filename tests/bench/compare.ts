/**
 * Turns what the two sides of a benchmark printed into comparisons.
 */

/** One line that a benchmark prints. */
export interface Sample {
  readonly case: string;
  readonly unit: string;
  readonly value: number;
  /** Digest of the work: equal hashes mean equal work. */
  readonly hash?: string;
}

/** One case, ours against the reference's. */
export interface Comparison {
  readonly bench: string;
  readonly case: string;
  readonly runtime: string;
  readonly ours: number;
  /** `null` if there is nothing to compare with. */
  readonly reference: number | null;
  readonly unit: string;
  /** How many times better ours is; below 1 it is worse. `null` without a reference, and where that is 0. */
  readonly ratio: number | null;
}

/** Whether more of `unit` is better: it is for rates, which end in "/s", and for nothing else. */
export function isHigherBetter(unit: string): boolean {
  return unit.endsWith("/s");
}

/** @throws {Error} if `output` is anything but lines of samples. */
export function parseSamples(output: string): Sample[] {
  return output.trim().split("\n").map((line) => {
    const sample: unknown = JSON.parse(line);
    if (!isSample(sample)) throw new Error(`A benchmark printed what is no sample: ${line}`);
    return sample;
  });
}

function isSample(sample: unknown): sample is Sample {
  if (typeof sample !== "object" || sample === null) return false;
  const { case: name, unit, value, hash } = sample as Record<string, unknown>;
  return typeof name === "string" && name !== "" && typeof unit === "string" && unit !== "" &&
    typeof value === "number" && Number.isFinite(value) && value >= 0 &&
    (hash === undefined || typeof hash === "string");
}

/** The middle one of `values`, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/**
 * Compares the samples of several rounds, case by case, by their medians.
 *
 * @throws {Error} if the two sides did different work.
 */
export function compare(
  bench: string,
  runtime: string,
  ours: readonly Sample[],
  reference: readonly Sample[],
): Comparison[] {
  const names = [...new Set(ours.map((sample) => sample.case))];
  return names.map((name) => {
    const own = ours.filter((sample) => sample.case === name);
    const others = reference.filter((sample) => sample.case === name);
    const { unit, hash } = own[0]!;
    const stranger = others.find((other) =>
      other.unit !== unit || (hash !== undefined && other.hash !== hash)
    );
    if (stranger !== undefined) {
      throw new Error(
        `${bench}, ${name}: ours did ${hash} in ${unit}, the reference ${stranger.hash} in ${stranger.unit}`,
      );
    }
    const value = median(own.map((sample) => sample.value));
    if (others.length === 0) {
      return { bench, case: name, runtime, ours: value, reference: null, unit, ratio: null };
    }
    const other = median(others.map((sample) => sample.value));
    const [better, worse] = isHigherBetter(unit) ? [value, other] : [other, value];
    const ratio = worse === 0 ? (better === 0 ? 1 : null) : Math.round(better / worse * 1000) / 1000;
    return { bench, case: name, runtime, ours: value, reference: other, unit, ratio };
  });
}

/** The comparisons as a table for people. */
export function toTable(comparisons: readonly Comparison[]): string {
  const number = (value: number | null) =>
    value === null
      ? "-"
      : value >= 100
      ? Math.round(value).toLocaleString("en")
      : String(Number(value.toPrecision(3)));
  const rows = [
    ["bench", "case", "runtime", "ours", "reference", "unit", "ratio"],
    ...comparisons.map((one) => [
      one.bench,
      one.case,
      one.runtime,
      number(one.ours),
      number(one.reference),
      one.unit,
      number(one.ratio),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isNumber = (column: number) => [3, 4, 6].includes(column);
  const pad = (cell: string, column: number) =>
    isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return rows.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}
