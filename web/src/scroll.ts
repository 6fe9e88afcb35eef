/** Browsers draw nothing right in elements that are higher than this; the lowest limit is about 16 million. */
const highest = 8_000_000;

/**
 * Scrolls through more than browsers can: the bar has the height they allow, and
 * `y` is where the reader really is. Small steps are real ones; a jump of the bar
 * goes to the same part of the whole.
 */
export class Scroll {
  /** Pixels above what is shown, of all of them. */
  y = 0;
  private whole = 0;
  private last = 0;

  constructor(private readonly view: HTMLElement, private readonly space: HTMLElement, private readonly moved: (by: number) => void) {
    view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    view.addEventListener("scrollend", () => this.align());
  }

  /** The highest y. */
  get end(): number {
    return Math.max(0, this.whole - this.view.clientHeight);
  }

  /** Says how high all of it is. */
  size(whole: number): void {
    this.scrolled(); // who scrolls is not sent back because the browser has not told of it yet
    this.whole = whole;
    // The rows themselves take the height of the view.
    this.space.style.height = `${Math.max(0, Math.min(whole, highest) - this.view.clientHeight)}px`;
    this.y = Math.min(this.y, this.end);
  }

  /** Goes somewhere. */
  to(y: number): void {
    this.y = Math.min(Math.max(0, y), this.end);
    this.align();
  }

  private get bar(): number {
    return Math.max(0, Math.min(this.whole, highest) - this.view.clientHeight);
  }

  /** Puts the bar where y is, without anybody having moved it. */
  private align(): void {
    const top = this.whole > highest && this.end > 0 ? (this.y / this.end) * this.bar : this.y;
    if (Math.abs(this.view.scrollTop - top) >= 1) this.view.scrollTop = top;
    this.last = this.view.scrollTop;
  }

  private scrolled(): void {
    const top = this.view.scrollTop;
    const by = top - this.last;
    if (by === 0) return;
    this.last = top;
    const before = this.y;
    if (this.whole <= highest) this.y = top;
    else if (Math.abs(by) <= this.view.clientHeight) this.y += by;
    else this.y = (top / this.bar) * this.end;
    this.y = Math.min(Math.max(0, this.y), this.end);
    if ((top <= 0 && this.y > 0 && Math.abs(by) > this.view.clientHeight) || (top >= this.bar && Math.abs(by) > this.view.clientHeight)) {
      this.y = top <= 0 ? 0 : this.end;
    }
    this.moved(this.y - before);
  }
}
