// What pages can do beyond plain HTML: stay up to date, say times as the reader's own, ask before grave deeds.
// Everything works without it.
"use strict";
(() => {
  const REST_MS = 600, POLL_MS = 15000;
  const root = document.documentElement;

  // ---------------------------------------------------------------- light and dark
  const KEY = "pipecall-scheme";
  const remembered = (() => { try { return localStorage.getItem(KEY); } catch { return null; } })();
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => root.dataset.scheme ? root.dataset.scheme === "dark" : system.matches;
  const toggle = document.querySelector("[data-scheme-toggle]");
  const label = () => { if (toggle) { toggle.textContent = dark() ? "Light" : "Dark"; } };
  if (!root.dataset.scheme && (remembered === "dark" || remembered === "light")) { root.dataset.scheme = remembered; }
  if (toggle) {
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      root.dataset.scheme = dark() ? "light" : "dark";
      try { localStorage.setItem(KEY, root.dataset.scheme); } catch { /* private browsing */ }
      document.cookie = `pipecall_scheme=${root.dataset.scheme};path=/;max-age=31536000;samesite=strict`;
      label();
    });
    system.addEventListener("change", label);
  }
  label();

  // ---------------------------------------------------------------- times
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const second = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const dated = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
  const ago = (at) => {
    const size = (at - Date.now()) / 1000, whole = Math.abs(size);
    if (whole < 1) { return "now"; }
    const [unit, name] = UNITS.find(([each]) => whole >= each);
    const told = `${Math.floor(whole / unit)} ${name}`;
    return size > 0 ? `in ${told}` : `${told} ago`;
  };
  const shown = (at, as) => {
    if (as === "ago") { return ago(at); }
    if (as === "second") { return second.format(at); }
    const today = new Date();
    const year = at.getFullYear() === today.getFullYear() ? "" : ` ${at.getFullYear()}`;
    return at.toDateString() === today.toDateString() ? clock.format(at) : `${dated.format(at).replace(",", "")}${year} ${clock.format(at)}`;
  };
  const times = (within, only) => {
    for (const each of within.querySelectorAll(only ? `time[data-as="${only}"]` : "time[data-as]")) {
      const text = shown(new Date(each.dateTime), each.dataset.as);
      if (each.textContent !== text) { each.textContent = text; }
    }
  };
  times(document);
  setInterval(() => { if (!document.hidden) { times(document, "ago"); } }, 5000);

  // ---------------------------------------------------------------- asking first
  const sure = document.getElementById("sure");
  let undecided = false;  // the form that is asked about stays where it is until the answer
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.sure || form.dataset.said || !sure) { return; }
    event.preventDefault();
    sure.querySelector("h2").textContent = form.dataset.sure;
    sure.returnValue = "no";
    sure.onclose = () => {
      undecided = false;
      if (sure.returnValue === "yes") { form.dataset.said = "yes"; form.requestSubmit(); }
    };
    undecided = true;
    sure.showModal();
  });

  // ---------------------------------------------------------------- staying up to date
  const follow = () => document.querySelector("[data-follow]");
  const toEnd = () => {
    const lines = document.getElementById("lines"), box = follow();
    if (lines && box && box.checked) { lines.scrollTop = lines.scrollHeight; }
  };
  const followLabel = document.querySelector("[data-follow-label]");
  if (followLabel) { followLabel.hidden = false; toEnd(); }

  const busy = (part) => part.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  const opened = (part) => [...part.querySelectorAll("details")].map((each) => each.open);
  const keyOf = (part) => {
    const focused = document.activeElement;
    if (!focused || focused === part || !part.contains(focused)) { return -1; }
    return [...part.querySelectorAll("a, button, summary, [tabindex]")].indexOf(focused);
  };
  const bare = (part) => {
    const copy = part.cloneNode(true);
    for (const each of copy.querySelectorAll("time")) { each.textContent = ""; }
    for (const each of copy.querySelectorAll("input[type=hidden]")) { each.setAttribute("value", ""); }
    for (const each of copy.querySelectorAll("details")) { each.removeAttribute("open"); }
    return copy.innerHTML;
  };
  const replace = (part, fresh) => {
    if (busy(part) || part.querySelector("details.pop[open]") || bare(part) === bare(fresh)) { return; }
    const open = opened(part), focused = keyOf(part), top = part.scrollTop;
    part.replaceChildren(...fresh.childNodes);
    if ("busy" in fresh.dataset) { part.dataset.busy = ""; } else { delete part.dataset.busy; }
    part.querySelectorAll("details").forEach((each, place) => { each.open = open[place] ?? each.open; });
    times(part);
    part.scrollTop = top;
    if (focused >= 0) { part.querySelectorAll("a, button, summary, [tabindex]")[focused]?.focus(); }
  };
  const live = [...document.querySelectorAll("[data-live]")];
  if (!live.length) { return; }
  const state = document.querySelector("[data-live-state]");
  let waiting = 0, asking = false;
  const refresh = async () => {
    waiting = 0;
    if (document.hidden) { return; }
    if (asking || undecided) { soon(); return; }
    asking = true;
    try {
      const answer = await fetch(document.body.dataset.url, { headers: { "X-Refresh": "1" }, redirect: "error" });
      if (!answer.ok) { throw new Error(answer.status); }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of undecided ? [] : document.querySelectorAll("[data-live]")) {
        const other = fresh.getElementById(part.id);
        if (other) { replace(part, other); }
      }
      if (undecided) { soon(); }
      toEnd();
      state.textContent = "";
    } catch { state.textContent = "Not up to date: the service does not answer."; }
    asking = false;
  };
  const soon = () => { if (!waiting) { waiting = setTimeout(refresh, REST_MS); } };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { soon(); } });
  const events = new EventSource("/api/events");
  for (const name of ["open", "message", "run", "job", "reload"]) { events.addEventListener(name, soon); }
  events.onerror = () => { if (events.readyState === EventSource.CLOSED) { setInterval(soon, POLL_MS / 3); } };
  addEventListener("pagehide", () => events.close());
  setInterval(soon, POLL_MS);
  setInterval(() => { if (document.querySelector("[data-busy]")) { soon(); } }, 2000);
})();
