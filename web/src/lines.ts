/** A line of a job's output, as the API has it. */
export interface LogLine {
  n: number;
  at: string;
  stream: "stdout" | "stderr" | "distro";
  text: string;
  open?: boolean;
}

interface LogPage {
  lines: LogLine[];
  next: number;
  total: number;
  ended: boolean;
  matches?: { found: number; more: boolean };
}

/** The lines that a viewer shows, by their row from 0. Most of them are elsewhere until they are needed. */
export interface Lines {
  /** How many rows there are. */
  readonly rows: number;
  /** The line of a row, where it is here. */
  line(row: number): LogLine | undefined;
  /** The row of a line's number, or the next one. */
  row(n: number): number;
  /** Sees to it that rows are here, as far as they exist. */
  need(first: number, last: number): Promise<void>;
}

const pageSize = 200;
const mostPages = 50;
const mostText = 6_000_000;
const hitsAtOnce = 500;
const mostHits = 10_000;

/** The page in which a line is. */
function pageOf(n: number): number {
  return Math.floor((Math.max(n, 1) - 1) / pageSize);
}

async function ask(src: string, parameters: { [name: string]: string | number }, signal?: AbortSignal): Promise<LogPage> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== "") query.set(name, String(value));
  const response = await fetch(`${src}?${query}`, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) });
  if (!response.ok) throw new Error(`${response.status}`);
  return (await response.json()) as LogPage;
}

interface Page {
  lines: (LogLine | undefined)[];
  /** The number of the last line up to which it is complete. */
  known: number;
  text: number;
}

/** All lines of a job. Pages of them are fetched as they are seen, and dropped again. */
export class AllLines implements Lines {
  ended = false;
  private readonly pages = new Map<number, Page>();
  private readonly loading = new Map<number, { stop: AbortController; done: Promise<void> }>();
  private open = 0; // lines at the end that have not ended

  constructor(private readonly src: string, public total: number) {}

  get rows(): number {
    return this.total;
  }

  line(row: number): LogLine | undefined {
    return this.pages.get(pageOf(row + 1))?.lines[row % pageSize];
  }

  /** Whether a row is known; one that is known and has no line was cut. */
  knows(row: number): boolean {
    const page = this.pages.get(pageOf(row + 1));
    return page !== undefined && row < page.known;
  }

  row(n: number): number {
    return n - 1;
  }

  async need(first: number, last: number): Promise<void> {
    const from = pageOf(first + 1);
    const to = Math.max(from, pageOf(Math.min(last + 1, this.total)));
    for (const [at, { stop }] of this.loading) if (at < from - 1 || at > to + 1) stop.abort();
    const all: Promise<void>[] = [];
    for (let at = from; at <= to; at++) {
      if ((this.pages.get(at)?.known ?? -1) < this.endOf(at)) all.push(this.load(at));
    }
    await Promise.all(all);
    this.forget(from, to);
  }

  /** Takes a line that came by itself. */
  put(line: LogLine): void {
    const at = pageOf(line.n);
    if (!this.pages.has(at) && (line.n - 1) % pageSize === 0) {
      this.pages.set(at, { lines: [], known: line.n - 1, text: 0 });
      this.forget(at - 1, at);
    }
    this.place(line);
    this.total = Math.max(this.total, line.n);
  }

  /** Asks again for the lines that have not ended, and whether more will come. */
  async tail(): Promise<void> {
    this.take(await ask(this.src, { from: Math.max(1, this.total - this.open), count: pageSize }));
  }

  /** The number of the last line of a page that can be complete. */
  private endOf(at: number): number {
    return Math.min((at + 1) * pageSize, this.total - this.open);
  }

  private load(at: number): Promise<void> {
    const running = this.loading.get(at);
    if (running && !running.stop.signal.aborted) return running.done;
    const stop = new AbortController();
    const done = this.fill(at, stop.signal).finally(() => this.loading.get(at)?.stop === stop && this.loading.delete(at));
    this.loading.set(at, { stop, done });
    return done;
  }

  /** The server answers with fewer lines than it was asked for where they are long. */
  private async fill(at: number, signal: AbortSignal): Promise<void> {
    let page = this.pages.get(at);
    if (!page) this.pages.set(at, (page = { lines: [], known: at * pageSize, text: 0 }));
    for (let before = -1; page.known > before && (before < 0 || page.known < this.endOf(at)); ) {
      before = page.known;
      const end = (at + 1) * pageSize;
      const answer = await ask(this.src, { from: before + 1, count: end - before }, signal);
      this.take(answer);
      page.known = Math.max(page.known, Math.min(end, answer.next - 1));
    }
  }

  private take(answer: LogPage): void {
    this.total = Math.max(this.total, answer.total);
    this.ended = answer.ended;
    if (answer.lines.at(-1)?.n === answer.total) this.open = answer.lines.filter((line) => line.open).length;
    for (const line of answer.lines) this.place(line);
  }

  private place(line: LogLine): void {
    const page = this.pages.get(pageOf(line.n));
    if (!page) return;
    const at = (line.n - 1) % pageSize;
    page.text += line.text.length - (page.lines[at]?.text.length ?? 0);
    page.lines[at] = line;
    if (!line.open && page.known === line.n - 1) page.known = line.n;
  }

  /** Keeps memory bounded: pages far from those that are seen go first. */
  private forget(from: number, to: number): void {
    const far = (at: number) => Math.max(from - at, at - to, 0);
    const order = [...this.pages.keys()].sort((a, b) => far(b) - far(a));
    let text = 0;
    for (const page of this.pages.values()) text += page.text;
    for (const at of order) {
      if (far(at) === 0 || (this.pages.size <= mostPages && text <= mostText)) return;
      text -= this.pages.get(at)!.text;
      this.pages.delete(at);
    }
  }
}

/** The lines that the server finds, in their order, read as far as they are needed. */
export class Hits implements Lines {
  found = 0;
  more = false;
  private readonly lines: LogLine[] = [];
  private next = 1;
  private done = false;
  private text = 0;
  private busy: Promise<void> | undefined;

  /** Only where the lines themselves are shown their texts are kept. */
  constructor(private readonly src: string, readonly query: { q: string; level: string }, private readonly texts: boolean) {}

  get rows(): number {
    return this.lines.length;
  }

  line(row: number): LogLine | undefined {
    return this.lines[row];
  }

  row(n: number): number {
    const row = this.lines.findIndex((line) => line.n >= n);
    return row < 0 ? Math.max(0, this.lines.length - 1) : row;
  }

  async need(_: number, last: number): Promise<void> {
    while (last >= this.lines.length && !this.done) await (this.busy ??= this.read());
  }

  /** Looks for what came since. */
  async again(): Promise<void> {
    this.done = this.full;
    await this.need(0, this.lines.length);
  }

  private get full(): boolean {
    return this.lines.length >= mostHits || this.text > mostText;
  }

  private async read(): Promise<void> {
    try {
      const answer = await ask(this.src, { ...this.query, from: this.next, count: hitsAtOnce });
      const lines = answer.lines.filter((line) => !line.open); // those are found when they ended
      for (const line of lines) {
        this.lines.push(this.texts ? line : { ...line, text: "" });
        if (this.texts) this.text += line.text.length;
      }
      this.found = answer.matches?.found ?? this.lines.length;
      this.more = answer.matches?.more ?? false;
      this.done = lines.length === 0 || answer.next <= this.next || answer.next > answer.total || this.full;
      this.next = Math.max(this.next, answer.next);
    } catch (error) {
      this.done = true;
      throw error;
    } finally {
      this.busy = undefined;
    }
  }
}
