/** How a stream of events stands. */
export type StreamState = "connecting" | "open" | "lost" | "closed";

export interface StreamOptions {
  /** Where it is, asked anew for every connection. */
  url: () => string;
  /** The events that are told of. */
  events: string[];
  /** The event that proves that events come through, where the server sends one at once. */
  hello?: string;
  /** Hears events in their order. */
  event: (name: string, data: unknown) => void;
  /** Hears of states; `failures` counts connections that broke or never stood, in a row. */
  state: (state: StreamState, failures: number) => void;
  /** After how long in the background, in ms, the connection is given up until the page is seen again. */
  hiddenAfter?: number;
}

const firstPause = 500;
const quickPause = 2500; // a server that is started again is found soon
const quickTries = 40;
const longestPause = 30_000;
const patience = 10_000;

/**
 * A stream of server-sent events that comes back by itself, ever less often while
 * it cannot, and costs nothing while nobody looks at the page. The browser's own
 * reconnecting has no such pauses and gives up at an answer that is an error.
 */
export class Stream {
  private source: EventSource | undefined;
  private timer: number | undefined;
  private hidden: number | undefined;
  private failures = 0;
  private wanted = false;

  constructor(private readonly options: StreamOptions) {}

  /** Connects, and keeps on. */
  start(): void {
    if (this.wanted) return;
    this.wanted = true;
    document.addEventListener("visibilitychange", this.seen);
    addEventListener("pagehide", this.close);
    addEventListener("pageshow", this.reopen);
    addEventListener("online", this.reopen);
    this.seen();
  }

  /** Ends it for good, or until it is started again. */
  stop(): void {
    this.wanted = false;
    document.removeEventListener("visibilitychange", this.seen);
    removeEventListener("pagehide", this.close);
    removeEventListener("pageshow", this.reopen);
    removeEventListener("online", this.reopen);
    clearTimeout(this.hidden);
    this.close();
  }

  /** Connects anew, since what it asks for is different. */
  restart(): void {
    if (this.wanted && this.source) this.open();
  }

  private readonly seen = (): void => {
    clearTimeout(this.hidden);
    if (!document.hidden) this.reopen();
    else this.hidden = window.setTimeout(this.close, this.options.hiddenAfter ?? 60_000);
  };

  private readonly close = (): void => {
    this.drop();
    this.options.state("closed", this.failures);
  };

  private readonly reopen = (): void => {
    if (this.wanted && !this.source) this.open();
  };

  private drop(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
  }

  private open(): void {
    this.drop();
    const source = (this.source = new EventSource(this.options.url()));
    const { hello, events } = this.options;
    this.options.state("connecting", this.failures);
    const works = () => {
      clearTimeout(this.timer);
      this.failures = 0;
      this.options.state("open", 0);
    };
    // A proxy that collects answers lets a connection stand without events.
    if (hello) this.timer = window.setTimeout(() => this.fail(), patience);
    source.addEventListener(hello ?? "open", works);
    source.addEventListener("error", () => this.fail());
    for (const name of events) {
      source.addEventListener(name, (event) => {
        let data: unknown;
        try {
          data = JSON.parse((event as MessageEvent<string>).data);
        } catch {
          return;
        }
        this.options.event(name, data);
      });
    }
  }

  private fail(): void {
    this.drop();
    const longest = this.failures < quickTries ? quickPause : longestPause;
    const pause = Math.min(longest, firstPause * 2 ** this.failures++) * (0.75 + Math.random() / 2);
    this.timer = window.setTimeout(this.reopen, pause);
    this.options.state("lost", this.failures);
  }
}
