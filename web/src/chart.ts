import uPlot from "uplot";
import uplotCss from "uplot/dist/uPlot.min.css";
import css from "./chart.css";
import { make, sheet } from "./dom";
import { language, number, zone } from "./text";

/** What a table of a chart holds: times in seconds, and a row of numbers for each series. */
interface Data {
  label: string;
  /** What the first column is called. */
  time: string;
  names: { key: string; label: string }[];
  times: number[];
  values: (number | null)[][];
}

/** Lines differ in more than colour. */
const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/** Draws the table that stands in it. The table stays, for those who read it, and is the truth: when it changes, so does the drawing. */
export class Chart extends HTMLElement {
  private plot: uPlot | undefined;
  private readonly box = make("div", { class: "plot", part: "plot", role: "img" });
  private readonly watch = new MutationObserver(() => this.draw());
  private readonly theme = new MutationObserver(() => this.recolour());
  private readonly resized = new ResizeObserver(() => requestAnimationFrame(() => this.isConnected && this.fit()));
  private readonly scheme = matchMedia("(prefers-color-scheme: dark)");

  connectedCallback(): void {
    if (!this.shadowRoot) {
      const root = this.attachShadow({ mode: "open" });
      const sheets = [sheet(uplotCss, root), sheet(css, root)];
      root.append(this.box, make("slot"));
      void Promise.all(sheets).then(() => this.draw());
    } else {
      this.draw();
    }
    this.watch.observe(this, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["data-v", "datetime", "kind", "unit"] });
    this.theme.observe(document.documentElement, { attributes: true });
    this.scheme.addEventListener("change", this.recolour);
    this.resized.observe(this);
  }

  disconnectedCallback(): void {
    this.watch.disconnect();
    this.theme.disconnect();
    this.resized.disconnect();
    this.scheme.removeEventListener("change", this.recolour);
    this.plot?.destroy();
    this.plot = undefined;
  }

  private readonly recolour = (): void => {
    this.plot?.redraw(); // with its paths, which keep the colours they were made with
    this.box.querySelectorAll<HTMLElement>(".u-series .u-marker").forEach((marker, i) => {
      const key = this.box.dataset[`key${i - 1}`];
      if (key) marker.style.borderColor = marker.style.background = this.colour(`--series-${key}`);
    });
  };

  private fit(): void {
    if (this.plot && this.clientWidth > 0 && this.plot.width !== this.clientWidth) this.plot.setSize(this.size());
    else if (!this.plot) this.draw();
  }

  private size(): { width: number; height: number } {
    return { width: this.clientWidth, height: Number(this.getAttribute("height")) || 200 };
  }

  private colour(name: string): string {
    const style = getComputedStyle(this);
    return style.getPropertyValue(name).trim() || style.color;
  }

  private draw(): void {
    const data = this.read();
    if (!data || this.clientWidth === 0) return;
    this.box.setAttribute("aria-label", data.label);
    this.plot?.destroy();
    const kind = this.getAttribute("kind") ?? "lines";
    const stacked = kind === "bars";
    data.names.forEach(({ key }, i) => (this.box.dataset[`key${i}`] = key));
    const columns = stacked ? stack(data.values) : data.values;
    const options: uPlot.Options = {
      ...this.size(),
      series: [{ label: data.time, value: (_, at) => (at === null || at === undefined ? "—" : this.moment(at, true)) }, ...data.names.map((name, i) => this.series(name, i, kind, data))],
      scales: { x: { time: true }, y: { range: (_, __, max) => [0, this.getAttribute("unit") === "ratio" ? 1 : Math.max(max * 1.05, 1e-9)] } },
      axes: [{ ...this.axis((_, at) => at.map((t) => this.moment(t, false))), size: 30 }, { ...this.axis((_, at) => at.map((v) => this.amount(v))), size: 52 }],
      cursor: { drag: { x: false, y: false }, points: { show: !stacked } },
      legend: { live: true },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone().timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone),
    };
    // Of stacked bars the highest is drawn first, and the others over it.
    if (stacked) {
      options.series = [options.series[0]!, ...options.series.slice(1).reverse()];
      columns.reverse();
      data.names.forEach(({ key }, i) => (this.box.dataset[`key${data.names.length - 1 - i}`] = key));
    }
    this.plot = new uPlot(options, [data.times, ...columns] as uPlot.AlignedData, this.box);
  }

  private series({ key, label }: { key: string; label: string }, i: number, kind: string, data: Data): uPlot.Series {
    const colour = () => this.colour(`--series-${key}`);
    const series: uPlot.Series = {
      label,
      stroke: colour,
      width: kind === "bars" ? 0 : 2,
      value: (_, __, ___, at) => (at === null || at === undefined ? "—" : this.amount(data.values[i]?.[at] ?? null)),
    };
    if (kind === "bars") {
      const paths = uPlot.paths.bars?.({ size: [0.8, 48] });
      return { ...series, ...(paths ? { paths } : {}), fill: colour, points: { show: false } };
    }
    if (kind === "dots") {
      const failed = key === "failed"; // a ring, not a disc
      return { ...series, paths: () => null, points: { show: true, size: failed ? 8 : 5, width: 2, fill: failed ? "transparent" : colour } };
    }
    return { ...series, dash: dashes[i % dashes.length]!, spanGaps: false, points: { show: data.times.length === 1 } };
  }

  private axis(values: uPlot.Axis.DynamicValues): uPlot.Axis {
    return { values, stroke: () => this.colour("--series-axis"), grid: { stroke: () => this.colour("--series-grid"), width: 1 }, ticks: { show: false } };
  }

  private moment(at: number, whole: boolean): string {
    const scale = this.plot?.scales["x"];
    const long = (scale?.max ?? 0) - (scale?.min ?? 0) > 2 * 86_400;
    const options: Intl.DateTimeFormatOptions = whole ? { dateStyle: "short", timeStyle: "short" } : long ? { day: "2-digit", month: "2-digit" } : { hour: "2-digit", minute: "2-digit", hour12: false };
    return new Intl.DateTimeFormat(language(), { ...options, ...zone() }).format(at * 1000);
  }

  private amount(v: number | null): string {
    if (v === null) return "—";
    switch (this.getAttribute("unit")) {
      case "ratio":
        return number(v, { style: "percent", maximumFractionDigits: 1 });
      case "s":
        return duration(v);
      default:
        return number(v, { notation: "compact", maximumFractionDigits: 1 });
    }
  }

  private read(): Data | undefined {
    const table = this.querySelector("table");
    const heads = [...(table?.querySelectorAll<HTMLElement>("thead th[data-series]") ?? [])];
    if (!table || heads.length === 0) return undefined;
    const first = (heads[0] as HTMLTableCellElement).cellIndex;
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => ({
      at: Date.parse(row.querySelector("time")?.dateTime ?? "") / 1000,
      values: heads.map((_, i) => {
        const v = row.cells[first + i]?.dataset["v"];
        return v === undefined || v === "" || !Number.isFinite(Number(v)) ? null : Number(v);
      }),
    })).filter(({ at }) => Number.isFinite(at)).sort((a, b) => a.at - b.at);
    return {
      label: table.caption?.textContent?.trim() ?? this.getAttribute("aria-label") ?? "",
      time: table.tHead?.rows[0]?.cells[0]?.textContent?.trim() ?? "",
      names: heads.map((head) => ({ key: (head.dataset["series"] ?? "").replace(/[^\w-]/g, ""), label: head.textContent?.trim() ?? "" })),
      times: rows.map(({ at }) => at),
      values: heads.map((_, i) => rows.map(({ values }) => values[i] ?? null)),
    };
  }
}

/** Each series becomes the sum of itself and those before it. */
function stack(values: (number | null)[][]): number[][] {
  const below = new Array<number>(values[0]?.length ?? 0).fill(0);
  return values.map((series) => series.map((v, i) => (below[i] = below[i]! + (v ?? 0))));
}

/** A duration in the unit that suits it. */
export function duration(seconds: number): string {
  const unit = (value: number, unit: string) => number(value, { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: value < 10 ? 1 : 0 });
  if (seconds === 0) return unit(0, "second");
  if (seconds < 1) return unit(seconds * 1000, "millisecond");
  if (seconds < 120) return unit(seconds, "second");
  if (seconds < 7200) return unit(seconds / 60, "minute");
  return unit(seconds / 3600, "hour");
}
