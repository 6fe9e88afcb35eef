import { make, remember, remembered, sheet } from "./dom";
import { AllLines, Hits, type LogLine, type Lines } from "./lines";
import { keysWork } from "./list";
import css from "./log.css";
import { drawRow, finder, type Look } from "./logrow";
import { Scroll } from "./scroll";
import { Stream } from "./stream";
import { number, plural, text } from "./text";

const mostRows = 200;
const searchAfter = 300;
const tailEvery = 2000;

/**
 * The output of a job, however long: only the rows that are seen are drawn, and
 * only the lines around them are in memory. It follows what is printed until the
 * reader scrolls up.
 */
export class Log extends HTMLElement {
  static readonly observedAttributes = ["src"];

  private readonly rowsBox = make("div", { class: "log-rows" });
  private readonly layer = make("div", { class: "log-layer" }, this.rowsBox);
  private readonly space = make("div", { "aria-hidden": "true" });
  private readonly view = make("div", { class: "log-view", role: "log", "aria-live": "off", tabindex: "0", "aria-label": text("js.log.label") }, this.layer, this.space);
  private readonly input = make("input", { type: "search", "aria-label": text("js.log.search"), placeholder: text("js.log.search") });
  private readonly counted = make("output", { class: "log-count" });
  private readonly only = make("input", { type: "checkbox" });
  private readonly level = this.choice("level", ["", "info", "warning", "error"]);
  private readonly times = this.choice("times", ["", "absolute", "since"]);
  private readonly wrap = make("input", { type: "checkbox" });
  private readonly follow = make("input", { type: "checkbox" });
  private readonly newer = make("button", { type: "button", class: "log-more", hidden: true, onclick: () => this.setFollow(true) });
  private readonly scroller = new Scroll(this.view, this.space, (by) => this.moved(by));
  private readonly resized = new ResizeObserver(() => this.measure());

  private lines = new AllLines("", 0);
  private hits: Hits | undefined;
  private shown: Lines = this.lines;
  private look: Look = { times: "", since: 0, search: undefined };
  private stream: Stream | undefined;
  private height = 20;
  private drawn = new Map<number, { line: LogLine | undefined; row: HTMLElement }>();
  private hit = -1;
  private picked: [number, number] | undefined;
  private seen = 0; // lines there were when the reader stopped following
  private timers: { [duty: string]: number } = {};
  private begun = 0;
  private ready: Promise<void> | undefined;

  connectedCallback(): void {
    this.ready = sheet(css);
    document.addEventListener("keydown", this.typed);
    addEventListener("hashchange", this.linked);
    void this.begin();
  }

  disconnectedCallback(): void {
    this.begun++;
    this.stream?.stop();
    this.resized.disconnect();
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    document.removeEventListener("keydown", this.typed);
    removeEventListener("hashchange", this.linked);
  }

  attributeChangedCallback(_: string, before: string | null, now: string | null): void {
    if (before !== null && before !== now && this.isConnected) void this.begin();
  }

  /** Shows the server's text until the first lines are here. */
  private async begin(): Promise<void> {
    const begun = ++this.begun;
    this.stream?.stop();
    const src = this.getAttribute("src");
    if (!src) return; // there is nothing but what the server has drawn
    const lines = (this.lines = new AllLines(src, Number(this.getAttribute("lines")) || 0));
    this.shown = lines;
    this.hits = undefined;
    this.picked = undefined;
    this.drawn.clear();
    try {
      await this.ready;
      const open = this.getAttribute("open");
      const at = this.fromAddress() ?? (open === "traceback" ? await this.traceback(src) : undefined);
      const row = at !== undefined ? at - 1 : open ? Math.max(0, lines.total - 1) : 0;
      await lines.need(Math.max(0, row - 50), row + 50);
      if (begun !== this.begun) return;
      this.build();
      this.setFollow(at === undefined && open === "end" && !lines.ended);
      if (at !== undefined) this.goTo(at, 3);
      else this.scroller.to(open ? this.scroller.end : 0);
      this.draw();
      this.listen();
      this.dataset["state"] = "ready";
    } catch {
      if (begun === this.begun) this.dataset["state"] = "failed";
    }
  }

  private build(): void {
    if (this.view.isConnected) return this.measure();
    const label = (key: string, field: HTMLElement) => make("label", {}, field, text(key));
    const button = (key: string, sign: string, by: number) =>
      make("button", { type: "button", "aria-label": text(key), title: text(key), text: sign, onclick: () => void this.step(by) });
    const search = make("form", { class: "log-search", role: "search", onsubmit: (event) => (event.preventDefault(), void this.search(true)) },
      this.input, this.counted, button("js.log.previous", "↑", -1), button("js.log.next", "↓", 1), label("js.log.only", this.only));
    this.wrap.checked = remembered("log.wrap") !== "";
    this.times.value = remembered("log.times");
    this.replaceChildren(
      make("div", { class: "log-bar" }, search, this.level, this.times, label("js.log.wrap", this.wrap), label("js.log.follow", this.follow)),
      this.view, this.newer);
    this.input.addEventListener("input", () => this.later("search", searchAfter, () => void this.search(false)));
    for (const field of [this.only, this.level]) field.addEventListener("change", () => void this.search(false));
    this.follow.addEventListener("change", () => this.setFollow(this.follow.checked));
    for (const field of [this.wrap, this.times]) field.addEventListener("change", () => void this.restyle());
    this.view.addEventListener("click", (event) => this.clicked(event));
    this.resized.observe(this.view);
    void this.restyle();
  }

  private choice(name: string, values: string[]): HTMLSelectElement {
    const options = values.map((value) => make("option", { value, text: text(`js.log.${name}.${value || "all"}`) }));
    return make("select", { "aria-label": text(`js.log.${name}`) }, ...options);
  }

  /** Does something soon, however often it is asked for until then. */
  private later(duty: string, ms: number, what: () => void): void {
    clearTimeout(this.timers[duty]);
    this.timers[duty] = window.setTimeout(() => (delete this.timers[duty], what()), ms);
  }

  private async restyle(): Promise<void> {
    remember("log.wrap", this.wrap.checked ? "1" : "");
    remember("log.times", this.times.value);
    this.view.classList.toggle("wrap", this.wrap.checked);
    if (this.times.value === "since" && !this.look.since) {
      const given = Date.parse(this.getAttribute("start") ?? "");
      if (Number.isNaN(given)) await this.lines.need(0, 0);
      this.look.since = given || Date.parse(this.lines.line(0)?.at ?? "") || 0;
    }
    this.look = { ...this.look, times: this.times.value };
    this.redraw();
  }

  private redraw(): void {
    this.drawn.clear();
    this.rowsBox.replaceChildren();
    this.measure();
  }

  private measure(): void {
    if (!this.view.clientHeight) return;
    const probe = make("div", { class: "log-row", text: "0" });
    this.rowsBox.append(probe);
    this.height = probe.getBoundingClientRect().height || 20;
    probe.remove();
    this.draw();
  }

  private moved(by: number): void {
    if (by < 0 && this.follow.checked) this.setFollow(false);
    else if (by > 0 && this.scroller.y >= this.scroller.end - 1 && !this.lines.ended && this.shown === this.lines) this.setFollow(true);
    this.draw();
  }

  private setFollow(on: boolean): void {
    this.follow.checked = on;
    this.follow.disabled = this.lines.ended;
    this.seen = this.lines.total;
    this.newer.hidden = true;
    if (on && this.shown !== this.lines) this.showAll();
    if (on) this.draw();
  }

  /** Draws the rows that are seen, and fetches what of them is missing. */
  private draw(): void {
    const rows = this.shown.rows;
    // A short log that has ended takes no more room than it needs.
    const short = this.lines.ended && this.shown === this.lines && !this.wrap.checked;
    this.view.style.maxHeight = short ? `${Math.max(3, rows + 2) * this.height}px` : "";
    this.scroller.size(rows * this.height);
    if (this.follow.checked) this.scroller.to(this.scroller.end);
    const first = Math.min(Math.floor(this.scroller.y / this.height), Math.max(0, rows - 1));
    const last = Math.min(rows - 1, first + mostRows, Math.ceil((this.scroller.y + this.view.clientHeight) / this.height) - 1);
    const elements: HTMLElement[] = [];
    const before = this.drawn;
    this.drawn = new Map();
    let missing = false;
    for (let row = first; row <= last; row++) {
      const line = this.shown.line(row);
      if (!line && !(this.shown === this.lines && this.lines.knows(row))) missing = true;
      const old = before.get(row);
      const element = old && old.line === line ? old.row : drawRow(line?.n ?? row + 1, line, this.look);
      const n = line?.n ?? row + 1;
      element.classList.toggle("picked", this.picked !== undefined && n >= this.picked[0] && n <= this.picked[1]);
      this.drawn.set(row, { line, row: element });
      elements.push(element);
    }
    this.place(elements, first);
    if (missing) this.fetch(first, last);
  }

  private place(elements: HTMLElement[], first: number): void {
    const wanted = new Set(elements);
    for (const element of [...this.rowsBox.children]) if (!wanted.has(element as HTMLElement)) element.remove();
    elements.forEach((element, i) => {
      if (this.rowsBox.children[i] !== element) this.rowsBox.insertBefore(element, this.rowsBox.children[i] ?? null);
    });
    let shift = this.scroller.y - first * this.height;
    if (this.wrap.checked && elements[0]) {
      shift *= elements[0].offsetHeight / this.height;
      if (this.scroller.y >= this.scroller.end - 1) shift = Math.max(0, this.rowsBox.offsetHeight - this.view.clientHeight);
    }
    this.rowsBox.style.transform = `translateY(${-shift}px)`;
  }

  private fetch(first: number, last: number): void {
    this.later("fetch", 40, () => {
      const shown = this.shown;
      shown.need(Math.max(0, first - 20), last + 20).then(
        () => shown === this.shown && this.draw(),
        (error: unknown) => {
          if (!(error instanceof DOMException)) this.later("fetch", tailEvery, () => this.draw()); // not one that was given up
        });
    });
  }

  // ---- what is printed meanwhile

  private listen(): void {
    const stream = this.getAttribute("stream");
    const lines = this.lines;
    if (lines.ended || !stream) return;
    this.stream = new Stream({
      url: () => `${stream}?from=${lines.total + 1}`,
      events: ["line", "end"],
      event: (name, data) => {
        if (lines !== this.lines) return;
        if (name === "line") lines.put(data as LogLine);
        else this.over(lines);
        if (!this.timers["grown"]) this.later("grown", 50, () => this.grown());
      },
      state: () => undefined,
    });
    this.stream.start();
    this.peek(lines);
  }

  private over(lines: AllLines): void {
    this.stream?.stop();
    lines.ended = true;
    lines.tail().then(() => (this.setFollow(false), this.draw()), () => undefined);
  }

  /** A line that has not ended is told by no event. */
  private peek(lines: AllLines): void {
    this.later("tail", tailEvery, () => {
      if (lines !== this.lines || lines.ended) return;
      const look = this.follow.checked && !document.hidden ? lines.tail() : Promise.resolve();
      void look.then(() => this.draw(), () => undefined).then(() => this.peek(lines));
    });
  }

  private grown(): void {
    if (!this.follow.checked) {
      const n = this.lines.total - this.seen;
      this.newer.hidden = n <= 0 || this.lines.ended;
      this.newer.textContent = plural("js.log.new", n);
    }
    const hits = this.hits;
    if (hits) void hits.again().then(() => (this.tally(), this.shown === hits && this.draw()), () => undefined);
    this.draw();
  }

  // ---- search

  private async traceback(src: string): Promise<number | undefined> {
    const found = new Hits(src, { q: "Traceback (most recent call last)", level: "" }, false);
    await found.need(0, 0);
    return found.line(0)?.n;
  }

  private showAll(): void {
    this.shown = this.lines;
    this.only.checked = false;
    this.level.value = "";
    this.redraw();
  }

  private async search(enter: boolean): Promise<void> {
    clearTimeout(this.timers["search"]);
    const query = { q: this.input.value, level: this.level.value };
    const filter = query.level !== "" || (this.only.checked && query.q !== "");
    const same = this.hits?.query.q === query.q && this.hits.query.level === query.level && filter === (this.shown === this.hits);
    if (same && enter) return this.step(1);
    const around = this.shown.line(Math.floor(this.scroller.y / this.height))?.n ?? Math.floor(this.scroller.y / this.height) + 1;
    const hits = (this.hits = query.q || filter ? new Hits(this.source(), query, filter) : undefined);
    this.hit = -1;
    this.look = { ...this.look, search: finder(query.q) };
    try {
      await hits?.need(0, 0);
    } catch {
      this.counted.textContent = text("js.failed");
      return;
    }
    if (hits !== this.hits) return;
    if (hits) this.setFollow(false);
    this.shown = filter && hits ? hits : this.lines;
    this.redraw();
    if (filter) this.scroller.to(0);
    else if (hits?.rows) await this.step(1);
    else if (!hits) this.scroller.to(Math.max(0, around - 1) * this.height);
    this.tally();
    this.draw();
  }

  private source(): string {
    return this.getAttribute("src") ?? "";
  }

  private tally(): void {
    const hits = this.hits;
    if (!hits) this.counted.textContent = "";
    else if (hits.found === 0) this.counted.textContent = text("js.log.none");
    else this.counted.textContent = `${this.hit >= 0 ? `${number(this.hit + 1)} / ` : ""}${number(hits.found)}${hits.more ? "+" : ""}`;
  }

  /** Goes to the next match, or the one before, and around at the ends of those that were read. */
  private async step(by: number): Promise<void> {
    const hits = this.hits;
    if (!hits) return this.search(false);
    if (hits.rows === 0) return;
    try {
      if (by > 0) await hits.need(0, this.hit + by);
    } catch {
      return;
    }
    this.hit = (this.hit + by + hits.rows) % hits.rows;
    if (this.hit < 0) this.hit = hits.rows - 1;
    const n = hits.line(this.hit)!.n;
    this.picked = [n, n];
    this.goTo(n, 5);
    this.tally();
  }

  // ---- links to lines

  private goTo(n: number, above: number): void {
    this.setFollow(false);
    this.scroller.size(this.shown.rows * this.height);
    this.scroller.to((this.shown.row(n) - above) * this.height);
    this.draw();
  }

  private fromAddress(): number | undefined {
    const match = /^#L(\d{1,15})(?:-L(\d{1,15}))?$/.exec(location.hash);
    if (!match) return undefined;
    const ends = [Number(match[1]), Number(match[2] ?? match[1])].sort((a, b) => a - b);
    this.picked = [Math.max(1, ends[0]!), Math.max(1, ends[1]!)];
    return this.picked[0];
  }

  private readonly linked = (): void => {
    const at = this.fromAddress();
    if (at === undefined) return;
    if (this.shown !== this.lines) this.showAll();
    this.goTo(at, 3);
  };

  private clicked(event: MouseEvent): void {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a.log-n");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const n = Number(link.textContent);
    const from = event.shiftKey && this.picked ? this.picked[0] : n;
    this.picked = [Math.min(from, n), Math.max(from, n)];
    const [a, b] = this.picked;
    history.replaceState(history.state, "", a === b ? `#L${a}` : `#L${a}-L${b}`);
    this.draw();
  }

  private readonly typed = (event: KeyboardEvent): void => {
    if (!keysWork(event) || !this.view.checkVisibility()) return;
    if (event.key === "f" && !this.follow.disabled) this.setFollow(!this.follow.checked);
    else if (event.key === "n") void this.step(1);
    else if (event.key === "N") void this.step(-1);
    else return;
    event.preventDefault();
  };
}
