import type { Results, Summary } from "./results.ts";
import { comparedAt, find } from "./table.ts";
import type { StoreKind } from "./work.ts";

interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

interface Bar {
  readonly name: string;
  readonly kind: string;
  readonly value: number;
  readonly label: string;
}

const panelWidth = 400;
const nameWidth = 130;
const labelWidth = 60;
const barHeight = 18;
const rowHeight = 24;
const headHeight = 34;
const gap = 24;
/** Ours, what one would use instead, stock Cap'n Web: apart in grey too. */
const colours: Readonly<Record<string, string>> = {
  ours: "#0b6bcb",
  peer: "#9aa5b1",
  stock: "#c98a2b",
};
const floorColour = "#5b6770";

/** All bars begin at 0. What bounds the race is no competitor, and is a line, with a row below the bars for its name. */
const isFloor = ({ kind }: Bar) => kind === "floor";

/** Bars of orders per second, of latency and of processor time, a row for each store. */
export function resultChart(results: Results): string {
  const rows = results.stores.map((store) => panelsOf(results, store));
  const columns = Math.max(...rows.map((panels) => panels.length));
  const rowHeights = rows.map((panels) => headHeight + Math.max(...panels.map(({ bars }) => bars.length)) * rowHeight);
  const width = gap + columns * (panelWidth + gap);
  const height = gap + rowHeights.reduce((sum, it) => sum + it + gap, 0);
  const drawn = rows.flatMap((panels, row) => {
    const y = gap + rowHeights.slice(0, row).reduce((sum, it) => sum + it + gap, 0);
    return panels.map((panel, column) => drawPanel(panel, gap + column * (panelWidth + gap), y));
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

const stores: Readonly<Record<StoreKind, string>> = {
  memory: "in memory",
  sqlite: "on disk",
  "sqlite-grouped": "on disk, all group commits",
};

function panelsOf(results: Results, store: StoreKind): Panel[] {
  const compared = comparedAt(results, store);
  const panel = (title: string, offered: typeof compared, of: Measure): Panel[] => {
    const bars = offered ? barsOf(results, { store, offered }, of) : [];
    return bars.length > 0 ? [{ title: `${title}, ${stores[store]}`, bars }] : [];
  };
  return [
    ...panel(`Orders per second, ${compared?.clients} clients`, compared, {
      value: ({ result }) => result.rate,
      label: (value) => Math.round(value).toLocaleString("en-US"),
    }),
    ...panel(
      "Median latency in ms, 1 client (less is better)",
      { kind: "closed", clients: 1 },
      {
        value: ({ result }) => result.p50,
        label: (value) => value.toFixed(2),
      },
    ),
    ...panel("CPU seconds per 1,000 orders (less is better)", compared, {
      value: ({ result }) => result.serverCpu,
      label: (value) => value.toFixed(3),
    }),
  ];
}

interface Measure {
  value(summary: Summary): number | null;
  label(value: number): string;
}

function barsOf(results: Results, at: Pick<Summary, "store" | "offered">, { value, label }: Measure): Bar[] {
  return results.variants.flatMap(({ name, kind }) => {
    const summary = find(results, { ...at, variant: name });
    const measured = summary && value(summary);
    return measured ? [{ name, kind, value: measured, label: label(measured) }] : [];
  });
}

function drawPanel({ title, bars }: Panel, x: number, y: number): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const full = panelWidth - nameWidth - labelWidth;
  const lengthOf = ({ value }: Bar) => Math.max(1, (value / most) * full).toFixed(1);
  const competing = bars.filter((bar) => !isFloor(bar));
  const lines = competing.map((bar, n) => {
    const { name, kind, label } = bar;
    const top = y + headHeight + n * rowHeight;
    const length = lengthOf(bar);
    const middle = top + barHeight / 2 + 4;
    const weight = kind === "ours" ? ` font-weight="bold"` : "";
    return [
      `<text x="${x + nameWidth - 8}" y="${middle}" text-anchor="end"${weight}>${escaped(name)}</text>`,
      `<rect x="${x + nameWidth}" y="${top}" width="${length}" height="${barHeight}" fill="${colours[kind]}"/>`,
      `<text x="${(x + nameWidth + Number(length) + 6).toFixed(1)}" y="${middle}"${weight}>${label}</text>`,
    ].join("");
  });
  const bottom = y + headHeight + competing.length * rowHeight;
  const floors = bars.filter(isFloor).map((bar, n) => {
    const nameY = bottom + n * rowHeight + 13;
    const at = (x + nameWidth + Number(lengthOf(bar))).toFixed(1);
    return [
      `<line x1="${at}" x2="${at}" y1="${y + headHeight - 4}" y2="${nameY - 11}" stroke="${floorColour}" stroke-dasharray="4 3"/>`,
      `<text x="${at}" y="${nameY}" text-anchor="middle" fill="${floorColour}">${escaped(bar.name)} ${bar.label}</text>`,
    ].join("");
  });
  return [`<text x="${x}" y="${y + 14}" font-size="13">${escaped(title)}</text>`, ...lines, ...floors].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
