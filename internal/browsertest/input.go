package browsertest

import (
	"cmp"
	"context"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keys that have no character of their own.
const (
	KeyTab    = kb.Tab
	KeyEnter  = kb.Enter
	KeyEscape = kb.Escape
	KeyDown   = kb.ArrowDown
)

// Modifier is a key that is held while others are pressed.
type Modifier = chromedp.Modifier

// The modifiers.
const (
	Ctrl  = chromedp.ModifierCtrl
	Shift = chromedp.ModifierShift
)

// Press presses keys, one after the other. Unlike with chromedp.KeyEvent, nothing
// is typed where a script took the key.
func (tab *Tab) Press(keys string, modifiers ...Modifier) {
	tab.t.Helper()
	for _, r := range keys {
		text := ""
		events := kb.Encode(r)
		for _, event := range events {
			text = cmp.Or(text, event.Text)
		}
		for _, event := range events {
			switch event.Type {
			case input.DispatchKeyEventTypeChar:
				continue
			case input.DispatchKeyEventTypeKeyUp:
			default:
				event.Type = input.DispatchKeyEventTypeKeyDown
				if len(modifiers) == 0 {
					event.Text = text
				}
			}
			for _, m := range modifiers {
				event.Modifiers |= int64(m)
			}
			call(tab, input.DispatchKeyEvent, *event)
		}
	}
}

// Click clicks on the first element of a CSS selector, once it can be seen.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)); err != nil {
		tab.t.Fatalf("click on %s: %v", selector, err)
	}
}

// Fill puts text into a field, as if it were typed at once over what was there.
func (tab *Tab) Fill(selector, text string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Focus(chromedp.CSS(selector), chromedp.NodeVisible)); err != nil {
		tab.t.Fatalf("fill %s: %v", selector, err)
	}
	tab.Retype(text)
}

// Retype does what Fill does in the field that has the focus.
func (tab *Tab) Retype(text string) {
	tab.t.Helper()
	tab.Press("a", Ctrl)
	call(tab, input.InsertText, input.InsertTextParams{Text: text})
}
