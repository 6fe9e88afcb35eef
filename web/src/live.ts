import { base, make } from "./dom";
import { type Answer, liveRows, morph, refreshed, rows, visit } from "./page";
import { Stream, type StreamState } from "./stream";
import { plural, text } from "./text";

const calm = 1500;
const pollEvery = 5000;
const rowsAtOnce = 100;
const wrongSearch = 422; // a page like another, which says what is wrong

interface JobsEvent {
  changes: { job_id: string; queue: string }[];
  more?: number;
}

/** Topics stand with blanks between them, the names in them as in an address. */
function listed(topics: string | null | undefined): string[] {
  return (topics ?? "").split(/\s+/).filter(Boolean).map((topic) => {
    try {
      return decodeURIComponent(topic);
    } catch {
      return topic;
    }
  });
}

/**
 * Keeps the page true: one stream of events for the tab, on which the parts of the
 * page that an event concerns are fetched and morphed. It says in its own words
 * whether what is shown is live, and since when it is not.
 */
export class Live extends HTMLElement {
  static readonly observedAttributes = ["topics"];

  private readonly dot = make("span", { class: "live-dot", "aria-hidden": "true" });
  private readonly words = make("span", { class: "live-text" });
  private readonly reload = make("a", { class: "live-version", href: "", hidden: true });
  private readonly button = make("button", { type: "button", class: "live-pause link", "data-key": ".", "aria-pressed": "false" });
  private readonly newStream = () => new Stream({
    url: () => `${this.getAttribute("src") ?? "/api/v1/events"}?topics=${encodeURIComponent(this.topics.join(","))}${this.behind()}`,
    events: ["resync", "jobs", "overview", "operations"],
    hello: "hello",
    event: (name, data) => this.heard(name, data),
    state: (state, failures) => this.connected(state, failures),
    hiddenAfter: Number(this.getAttribute("hidden-after") ?? 60) * 1000,
  });

  private stream: Stream | undefined;
  private state: StreamState | "paused" = "connecting";
  private failures = 0;
  private missed = false; // there was a time without a stream
  private fresh = Date.now();
  private told = new Set<string>(); // topics of which something was heard since the last refresh
  private changed = new Set<string>(); // jobs of which something was heard since then
  private everything = false;
  private lists = false; // rows too, in the order of the server
  private trouble = 0; // refreshes that did not work, in a row
  private timer: number | undefined;
  private ticker: number | undefined;
  private busy = false;
  private last = 0;
  private took = 0;
  private epoch = 0;

  connectedCallback(): void {
    this.replaceChildren(this.dot, this.words, this.button, this.reload);
    this.hidden = false;
    this.button.addEventListener("click", this.toggle);
    document.addEventListener("click", this.wanted);
    document.addEventListener("visibilitychange", this.seen);
    document.addEventListener("distro:acting", this.acting);
    this.ticker = window.setInterval(this.tick, pollEvery);
    this.stream = this.newStream();
    this.stream.start();
    this.show();
  }

  disconnectedCallback(): void {
    this.stream?.stop();
    clearInterval(this.ticker);
    clearTimeout(this.timer);
    this.button.removeEventListener("click", this.toggle);
    document.removeEventListener("click", this.wanted);
    document.removeEventListener("visibilitychange", this.seen);
    document.removeEventListener("distro:acting", this.acting);
  }

  attributeChangedCallback(_: string, before: string | null, now: string | null): void {
    if (before !== null && before !== now) this.stream?.restart();
  }

  private get topics(): string[] {
    // A comma in a name would be the end of it: then all jobs are listened to.
    const topics = listed(this.getAttribute("topics")).map((topic) => (topic.includes(",") ? "jobs" : topic));
    return topics.length > 0 ? topics : ["overview"];
  }

  /** What happened since the page was made is told by its first stream; later ones make the page anew. */
  private behind(): string {
    const after = this.getAttribute("after");
    this.removeAttribute("after");
    return after ? `&after=${encodeURIComponent(after)}` : "";
  }

  private heard(name: string, data: unknown): void {
    if (name === "resync") this.everything = true;
    this.told.add(name);
    if (name === "jobs") {
      const { changes = [], more } = data as JobsEvent;
      if (more) this.everything = true;
      for (const change of changes) {
        this.told.add(`job:${change.job_id}`).add(`queue:${change.queue}`);
        this.changed.add(change.job_id);
      }
    }
    this.fresh = Date.now();
    this.plan();
  }

  private connected(state: StreamState, failures: number): void {
    if (this.state === "paused" || !this.isConnected) return;
    // What came between two connections, nobody tells. Who tells of changes again can
    // make pages again.
    if (state === "open" && this.missed) {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.trouble = 0;
      this.everything = true;
      this.plan();
    }
    if (state !== "connecting") this.missed = state !== "open";
    if (state === "open") this.fresh = Date.now();
    this.state = state;
    this.failures = failures;
    this.show();
  }

  private readonly toggle = (): void => {
    if (this.state === "paused") {
      this.state = "connecting";
      this.everything = true;
      this.stream?.start();
      this.plan();
    } else {
      this.stream?.stop();
      clearTimeout(this.timer);
      this.timer = undefined;
      this.state = "paused";
    }
    this.show();
  };

  private readonly seen = (): void => {
    if (!document.hidden && (this.told.size > 0 || this.everything)) this.plan();
  };

  /** An answer to an action is newer than what is under way. */
  private readonly acting = (): void => {
    this.epoch++;
  };

  private readonly wanted = (event: Event): void => {
    const button = (event.target as Element | null)?.closest<HTMLElement>("[data-live-new]");
    if (!button) return;
    event.preventDefault();
    this.lists = true;
    void this.refresh();
  };

  private readonly tick = (): void => {
    if (document.hidden || this.state === "paused") return;
    if (this.failures >= 3) {
      this.everything = true;
      this.plan();
    }
    if (this.state !== "open" || this.trouble > 0) this.show();
  };

  /** Refreshes at once where nothing was refreshed just now, and soon where it was. */
  private plan(): void {
    if (this.timer !== undefined || this.busy || ((document.hidden || this.state === "paused") && !this.lists)) return;
    const calmly = Math.min(Math.max(calm, 4 * this.took) * 2 ** this.trouble, 60_000);
    const pause = Math.max(0, this.last + calmly - Date.now());
    this.timer = window.setTimeout(() => {
      this.timer = undefined;
      void this.refresh();
    }, pause);
  }

  private concerned(all: boolean): HTMLElement[] {
    const regions = [...document.querySelectorAll<HTMLElement>("[data-live][id]")];
    if (all) return regions;
    return regions.filter((region) => {
      return listed(region.dataset["live"]).some((topic) => this.told.has(topic));
    });
  }

  private async refresh(): Promise<void> {
    if (this.busy) return;
    const lists = this.lists;
    const all = this.everything || lists;
    const regions = this.concerned(all);
    const changed = this.changed;
    const tables = all || changed.size > 0;
    this.told = new Set();
    this.changed = new Set();
    this.everything = this.lists = false;
    if (regions.length === 0 && !(tables && document.querySelector("d-list, .empty, [data-live-new]"))) return;
    this.busy = true;
    const began = (this.last = Date.now());
    const epoch = this.epoch;
    let page: Document | undefined;
    const arrived = (answer: Answer): boolean => {
      if ((answer.status >= 400 && answer.status !== wrongSearch) || epoch !== this.epoch || (this.state === "paused" && !lists) || !this.same(answer.page)) return false;
      page = answer.page;
      return true;
    };
    const parts = lists ? [...regions, ...document.querySelectorAll(`${liveRows}[id]`)] : regions;
    await visit("GET", location.pathname + location.search, { lists, arrived, done: false }, {
      source: document.body,
      swap: "none",
      selectOOB: parts.map((part) => `#${CSS.escape(part.id)}:outerMorph`).join(","),
    });
    if (page) {
      this.restructure(page);
      if (lists) document.querySelectorAll<HTMLElement>("[data-live-new]").forEach((button) => (button.hidden = true));
      else if (tables) await this.update(page, all, changed);
      this.version(page);
      this.fresh = Date.now();
      this.trouble = 0;
      if (page.querySelector("[data-behind]")) this.everything = true; // no event tells that it caught up
    } else {
      this.everything = true;
      if (epoch === this.epoch) this.trouble++;
    }
    this.took = Date.now() - began;
    this.busy = false;
    this.show();
    if (this.told.size > 0 || this.everything || this.lists) this.plan();
  }

  /** Reports whether a page is the one that was asked for, and not, say, a login. */
  private same(page: Document): boolean {
    const [here, there] = [document, page].map((root) => root.getElementById("main"));
    const same = there !== null && there !== undefined && here?.dataset["page"] === there.dataset["page"];
    if (!same) this.offer("js.reload");
    return same;
  }

  /** Where the page has other parts than before, all of it is morphed. */
  private restructure(page: Document): void {
    const [main, fresh] = [document, page].map((root) => root.getElementById("main"));
    const parts = (root: Element) => [...root.querySelectorAll(`[data-live][id], ${liveRows}`)].map((part) => part.id).join();
    if (main && fresh && parts(main) !== parts(fresh)) morph(main, fresh);
  }

  /** Brings rows that are shown up to date where they stand, and counts those that are not shown. */
  private async update(page: Document, all: boolean, changed: Set<string>): Promise<void> {
    const fetched = rows(page);
    const missing: string[] = [];
    for (const body of document.querySelectorAll<HTMLElement>(liveRows)) {
      const shown = rows(body);
      for (const [id, row] of shown) {
        const fresh = fetched.get(id);
        if (fresh) morph(row, fresh);
        else if (all || changed.has(id)) missing.push(id);
      }
      this.count([...fetched.keys()], shown);
    }
    for (let i = 0; i < missing.length; i += rowsAtOnce) await this.look(missing.slice(i, i + rowsAtOnce));
    document.dispatchEvent(new Event(refreshed));
  }

  /** Rows above one that is shown are new ones; those below came up from the next page. */
  private count(fetched: string[], shown: Map<string, unknown>): void {
    let last = fetched.length - 1;
    while (last >= 0 && !shown.has(fetched[last]!)) last--;
    const above = last < 0 ? fetched : fetched.slice(0, last);
    const n = above.filter((id) => !shown.has(id)).length;
    const button = document.querySelector<HTMLElement>("[data-live-new]");
    if (!button || n === 0) return;
    button.textContent = plural("js.new", n);
    button.hidden = false;
  }

  /** Asks for rows that the page has no more; what the server does not know either is gone. */
  private async look(ids: string[]): Promise<void> {
    const address = document.querySelector<HTMLElement>(liveRows)?.dataset["liveRows"] || `${base()}/jobs/rows`;
    try {
      const response = await fetch(`${address}?ids=${ids.map(encodeURIComponent).join(",")}`, { headers: { Accept: "text/html" } });
      if (!response.ok) return;
      const fetched = rows(new DOMParser().parseFromString(await response.text(), "text/html"));
      const shown = rows(document);
      for (const id of ids) {
        const row = shown.get(id);
        const fresh = fetched.get(id);
        if (row && fresh) morph(row, fresh);
        else row?.setAttribute("data-js-gone", "");
      }
    } catch {
      // The next event, or the reader, asks again.
    }
  }

  private version(page: Document): void {
    const of = (root: Document) => root.querySelector<HTMLMetaElement>('meta[name="distro-version"]')?.content ?? "";
    if (of(page) !== of(document)) this.offer("js.version");
  }

  private offer(key: string): void {
    this.reload.href = location.href;
    this.reload.textContent = text(key);
    this.reload.hidden = false;
  }

  private show(): void {
    const old = Date.now() - this.fresh;
    let words = text("js.live");
    if (this.state === "paused") words = text("js.paused");
    else if (this.state !== "open" || this.trouble > 0) words = old < 3000 && this.failures < 2 ? text("js.connecting") : plural("js.updated", Math.round(old / 1000));
    this.words.textContent = words;
    const lost = this.state === "closed" || (this.state === "connecting" && this.missed) || (this.state === "open" && this.trouble > 0);
    const state = lost ? "lost" : this.state;
    this.dataset["state"] = state;
    this.dot.className = `live-dot ${state === "open" ? "on" : state}`;
    const paused = this.state === "paused";
    this.button.textContent = text(paused ? "js.resume" : "js.pause");
    this.button.setAttribute("aria-pressed", String(paused));
  }
}
