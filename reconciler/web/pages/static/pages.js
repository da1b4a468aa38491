/* Keeps a page up to date: asks for it again, and changes what changed, in place. It asks nobody but its own server. */
"use strict";

const EVERY_MS = 1500;
const LATEST_MS = 30000;

const said = document.getElementById("live");
let tag = null;
let pause = EVERY_MS;
let timer = 0;

/* ---- ages that go on by themselves ---- */

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [unit, word] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (whole >= unit) return `${Math.floor(whole / unit)} ${word}`;
  }
  return `${whole} s`;
}

function tick() {
  for (const one of document.querySelectorAll("time[data-ago], time[data-lasts]")) {
    const seconds = (Date.now() - Date.parse(one.dateTime)) / 1000;
    const text = "ago" in one.dataset ? `${span(seconds)} ago` : span(seconds);
    if (one.textContent !== text) one.textContent = text;
  }
}

/* ---- one tree made like another ---- */

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
}

function takeAttributes(from, to) {
  const kept = from.nodeName === "DETAILS" ? ["open"] : [];
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !kept.includes(name)) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value && !kept.includes(name)) from.setAttribute(name, value);
  }
}

function become(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if ("keep" in from.dataset || from.isEqualNode(to)) return;
  takeAttributes(from, to);
  if (from.matches("input, select, textarea")) return;
  const named = new Map([...from.children].filter((one) => one.id).map((one) => [one.id, one]));
  let place = from.firstChild;
  for (const next of [...to.childNodes]) {
    const known = next.id ? named.get(next.id) : undefined;
    const match = known && alike(known, next) ? known : place && !next.id && alike(place, next) ? place : null;
    if (match === null) {
      const made = document.importNode(next, true);
      if (made.classList?.contains("card")) made.classList.add("new");
      from.insertBefore(made, place);
    } else {
      if (match === place) place = place.nextSibling;
      else from.insertBefore(match, place);
      become(match, next);
    }
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

function show(text) {
  const next = new DOMParser().parseFromString(text, "text/html");
  const active = document.activeElement;
  for (const part of document.querySelectorAll("[data-live], #role")) {
    const other = part.id ? next.getElementById(part.id) : null;
    if (other) become(part, other);
  }
  if (document.title !== next.title) document.title = next.title;
  if (active && active !== document.activeElement) {
    (active.isConnected ? active : active.id ? document.getElementById(active.id) : null)?.focus({ preventScroll: true });
  }
  prepare();
  tick();
}

/* ---- asking ---- */

function say(word, text) {
  if (!said || said.dataset.word === word) return;
  said.dataset.word = word;
  said.textContent = text;
}

async function look() {
  try {
    const answer = await fetch(location.href, {
      headers: tag ? { "If-None-Match": tag } : {},
      cache: "no-store",
      signal: AbortSignal.timeout(20000),
    });
    if (answer.status === 401 || answer.status === 404) {
      location.reload();
      return;
    }
    if (answer.status !== 304) {
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.text());
      tag = answer.headers.get("ETag");
    }
    pause = EVERY_MS;
    say("live", "live");
  } catch {
    pause = Math.min(pause * 2, LATEST_MS);
    const at = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    say("lost", `no answer since ${at}`);
  }
  again();
}

function again(wait = pause) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, wait);
}

/* ---- output that grows ---- */

const LOG_EVERY_MS = 800;
const MOST_LETTERS = 2_000_000;

async function follow(log) {
  if (!log.isConnected || !("liveLog" in log.dataset)) return;
  let wait = LOG_EVERY_MS;
  try {
    const asked = new URLSearchParams({ from: log.dataset.next, pen: log.dataset.pen, part: "1" });
    const answer = document.hidden ? null : await fetch(`${log.dataset.log}?${asked}`, { cache: "no-store" });
    if (answer?.ok) {
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("pre.log");
      const moved = next.dataset.next !== log.dataset.next;
      if (moved) {
        const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        log.append(...[...next.childNodes].map((one) => document.importNode(one, true)));
        while (log.textContent.length > MOST_LETTERS && log.childNodes.length > 1) log.firstChild.remove();
        if (below) log.scrollTop = log.scrollHeight;
        wait = 50;
      }
      log.dataset.next = next.dataset.next;
      log.dataset.pen = next.dataset.pen;
      if (!moved && !("liveLog" in next.dataset)) {
        delete log.dataset.liveLog;
        return;
      }
    }
  } catch {
    wait = 5000;
  }
  setTimeout(() => follow(log), wait);
}

function followAll() {
  for (const log of document.querySelectorAll("pre.log[data-log]:not([data-followed])")) {
    log.dataset.followed = "";
    if ("liveLog" in log.dataset || !location.search) log.scrollTop = log.scrollHeight;
    follow(log);
  }
}

/* ---- what a page has ---- */

function prepare() {
  followAll();
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  const word = button.firstChild;
  word.data = "Copied";
  setTimeout(() => { word.data = "Copy"; }, 1500);
});

document.addEventListener("change", (event) => {
  if (event.target.matches(".filter select")) event.target.form.requestSubmit();
});

prepare();
if (document.querySelector("[data-live]")) {
  tick();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => again(0));
  again();
}
