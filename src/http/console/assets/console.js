// The console's one script. Every page works without it; it refreshes live parts, copies, confirms, shows times in the reader's
// zone, and takes keys.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  // Times: exact in the reader's zone on hover, and how long ago, kept up to date.
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const skew = Date.now() - Date.parse(document.documentElement.dataset.now || new Date().toISOString());
  const relative = (at) => {
    const distance = at - (Date.now() - skew);
    const seconds = Math.floor(Math.abs(distance) / 1000);
    const span = seconds < 90 ? `${seconds} s`
      : seconds < 5400 ? `${Math.round(seconds / 60)} min`
      : seconds < 172800 ? `${Math.round(seconds / 3600)} h`
      : `${Math.floor(seconds / 86400)} days`;
    return seconds === 0 ? "now" : distance > 0 ? `in ${span}` : `${span} ago`;
  };
  const tell = (root) => {
    for (const time of all("time[datetime]", root)) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      time.title = exact.format(at);
      if (!time.hasAttribute("data-exact")) {
        const words = relative(at);
        if (time.textContent !== words) time.textContent = words;
      }
    }
  };

  // Copy buttons.
  const copied = async (button) => {
    const from = document.getElementById(button.dataset.copy);
    if (!from) return;
    const text = "value" in from ? from.value : from.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(from);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      say("Press Ctrl+C to copy the selected text.");
      return;
    }
    const label = button.textContent;
    button.textContent = "Copied";
    say("Copied.");
    setTimeout(() => { button.textContent = label; }, 1500);
  };
  const reveal = (root) => all("[data-script]", root).forEach((element) => { element.hidden = false; });

  const voice = one("#voice");
  const say = (text) => { if (voice) voice.textContent = text; };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copied(button);
    if (event.target.closest("[data-keys]")) keys();
    if (event.target.closest("[data-pause]")) pause(!paused);
  });

  // A form that says so is confirmed; without the script, the page that follows asks.
  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (question && !confirm(question)) {
      event.preventDefault();
      return;
    }
    // Not twice by a double click.
    if (event.target.method === "post") {
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "yes";
      setTimeout(() => delete event.target.dataset.sent, 4000);
    }
  });

  // Live parts: read again while the page is seen, and exchanged where nobody is reading or typing.
  const every = Number(document.body.dataset.live || 0) * 1000;
  let paused = false;
  let pointer = null;
  let due = 0;
  const toggle = one("[data-pause]");
  const pause = (on) => {
    paused = on;
    if (toggle) {
      toggle.textContent = on ? "Go on refreshing" : "Pause refreshing";
      toggle.setAttribute("aria-pressed", String(on));
    }
    if (!on) due = 0;
  };
  let moved = 0;
  let place = "";
  document.addEventListener("pointermove", (event) => {
    pointer = event.target;
    // A browser also reports a pointer that rests while the page under it changes.
    const next = `${event.screenX} ${event.screenY}`;
    if (next !== place) moved = Date.now();
    place = next;
  }, { passive: true });
  document.documentElement.addEventListener("pointerleave", () => { pointer = null; });
  const inUse = (part) => {
    const selected = getSelection();
    const isSelected = selected && !selected.isCollapsed && part.contains(selected.anchorNode);
    const isTyped = part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
    // A pointer that was left there, as on the button that started a replay, does not stop the page.
    const isPointed = pointer && part.contains(pointer) && Date.now() - moved < 10000
      && pointer.closest("a, button, summary, tr, li");
    return isSelected || isTyped || isPointed;
  };
  // Times are kept up to date by themselves.
  const content = (part) => part.innerHTML.replace(/<time[^>]*>[^<]*<\/time>/g, (time) => time.slice(0, time.indexOf(" title")));
  const signature = (element) => `${element.tagName} ${element.getAttribute("href") || ""} ${element.textContent.trim()}`;
  const opened = (part) => new Set(all("details[open][id]", part).map((details) => details.id));
  const exchange = (part, next) => {
    const open = opened(part);
    const focused = part.contains(document.activeElement) ? signature(document.activeElement) : "";
    part.replaceChildren(...next.childNodes);
    open.forEach((id) => { const details = document.getElementById(id); if (details) details.open = true; });
    if (focused) {
      const same = all("a, button, summary, [tabindex]", part).find((element) => signature(element) === focused);
      same?.focus({ preventScroll: true });
    }
    reveal(part);
    tell(part);
  };
  const pending = new Map();
  const known = new Map();
  const settle = () => {
    for (const [id, next] of pending) {
      const part = document.getElementById(id);
      if (!part) pending.delete(id);
      else if (!inUse(part)) {
        exchange(part, next);
        pending.delete(id);
      }
    }
  };
  let reading = false;
  const refresh = async () => {
    if (reading) return;
    reading = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error", headers: { Accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of all("[data-live]")) {
          const next = page.getElementById(part.id);
          // The script has changed times and buttons of the part that is shown, so it is compared with what was read before.
          if (next && known.get(part.id) !== content(next)) {
            known.set(part.id, content(next));
            pending.set(part.id, next);
          }
        }
        settle();
        const live = Number(page.body.dataset.live || 0);
        if (!live) pause(true);
      } else if (answer.status === 401 || answer.status === 404) {
        pause(true);
      }
    } catch {
      // The next round tries again; a session that has ended is seen when the page is opened again.
    } finally {
      reading = false;
    }
  };
  if (every && toggle) {
    toggle.hidden = false;
    all("[data-live]").forEach((part) => known.set(part.id, content(part)));
    due = Date.now() + every;
    addEventListener("focus", () => { due = 0; });
    document.addEventListener("visibilitychange", () => { due = 0; });
  }
  setInterval(() => {
    settle();
    if (!every || paused || document.hidden || Date.now() < due) return;
    due = Date.now() + every;
    refresh();
  }, 500);
  setInterval(() => { if (!document.hidden) tell(document); }, 5000);

  // Keys.
  const dialog = one("#keys");
  const keys = () => { if (dialog && !dialog.open) dialog.showModal(); };
  const rows = () => all("[data-row]");
  const move = (step) => {
    const found = rows();
    if (!found.length) return;
    const at = found.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
    const next = found[Math.max(0, Math.min(found.length - 1, at < 0 ? (step > 0 ? 0 : found.length - 1) : at + step))];
    const target = next.matches("a, button, [tabindex]") ? next : next.querySelector("a, button");
    target?.focus();
  };
  let went = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog?.open) return;
    if (event.target.matches("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (Date.now() - went < 1200) {
      went = 0;
      const link = all("[data-go]").find((link) => link.dataset.go === event.key);
      if (link) {
        event.preventDefault();
        link.click();
      }
      return;
    }
    const actions = {
      "?": keys,
      "/": () => one("#search")?.focus(),
      j: () => move(1),
      k: () => move(-1),
      g: () => { went = Date.now(); },
      p: () => { if (every) pause(!paused); },
      m: () => one("main .main")?.focus(),
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  reveal(document);
  tell(document);
})();
