// The page of the alert inbox. Text of alerts reaches the document through textContent only.

const EVERY_MS = 2000;
const LOG_LENGTH = 50;
const CLEARED_LENGTH = 30;
const SEVERITIES = ["critical", "warning", "info"];
const WATCHDOG = "Watchdog";

const byId = (id) => document.getElementById(id);
// What shows an age: updated in place, so that a refresh leaves selections and the focus alone.
let ages = [];
const state = { alerts: [], log: [], after: 0, now: Date.now() / 1000, watchdogTimeout: 900 };

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// A paragraph in which what stands in `backquotes` is code, as in Markdown.
function prose(className, text) {
  const made = element("p", className);
  text.split("`").forEach((part, place) => {
    if (part) made.append(place % 2 ? element("code", "", part) : part);
  });
  return made;
}

// Only web addresses become links: an annotation may hold anything.
function link(text, address) {
  let url;
  try { url = new URL(address); } catch { return null; }
  if (!["http:", "https:"].includes(url.protocol)) return null;
  const made = element("a", "", text);
  made.href = url.href;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const [size, unit, rest, small] = s < 3600 ? [60, "min", 1, "s"] : s < 86400 ? [3600, "h", 60, "min"] : [86400, "d", 3600, "h"];
  const left = Math.floor((s % size) / rest);
  return `${Math.floor(s / size)} ${unit}${left ? ` ${left} ${small}` : ""}`;
}

function clock(epoch) {
  const moment = new Date(epoch * 1000);
  const today = new Date(state.now * 1000).toDateString() === moment.toDateString();
  const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return today ? time : `${moment.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

const severityOf = (row) => (SEVERITIES.includes(row.labels.severity) ? row.labels.severity : "none");
const rank = (row) => (SEVERITIES.indexOf(severityOf(row)) + SEVERITIES.length + 1) % (SEVERITIES.length + 1);

function wanted(row) {
  const severity = byId("severity").value;
  if (severity && row.labels.severity !== severity) return false;
  const text = byId("search").value.trim().toLowerCase();
  return !text || JSON.stringify([row.alertname, row.labels, row.annotations]).toLowerCase().includes(text);
}

function labels(row) {
  const list = element("ul", "labels");
  const shown = Object.entries(row.labels).filter(([name]) => !["alertname", "severity"].includes(name));
  const first = ["queue", "task", "component"];
  const place = ([name]) => (first.includes(name) ? first.indexOf(name) : first.length);
  shown.sort((a, b) => place(a) - place(b) || a[0].localeCompare(b[0]));
  for (const [name, value] of shown) {
    const item = element("li", "", `${name} `);
    item.append(element("b", "", value));
    list.append(item);
  }
  return list;
}

function since(row) {
  if (row.status === "firing") return `since ${clock(row.starts_at)}, for ${span(state.now - row.starts_at)}`;
  const end = row.ends_at ?? row.received_at;
  return `cleared ${clock(end)}, after ${span(end - row.starts_at)}`;
}

function card(row) {
  const made = element("article", `card ${row.status === "resolved" ? "resolved" : severityOf(row)}`);
  made.dataset.fingerprint = row.fingerprint;
  made.dataset.alertname = row.alertname;
  made.dataset.status = row.status;
  const top = element("div", "top");
  top.append(element("h3", "", row.alertname || "(no name)"));
  if (row.status === "resolved") top.append(element("span", "tag resolved", "cleared"));
  top.append(element("span", `tag ${severityOf(row)}`, row.labels.severity || "no severity"));
  const age = element("p", "since", since(row));
  if (row.status === "firing") ages.push([age, row]);
  made.append(top, age);
  const { summary, description, runbook_url: runbook, dashboard_url: dashboard } = row.annotations;
  if (summary) made.append(prose("summary", summary));
  if (description) made.append(prose("description", description));
  made.append(labels(row));
  const links = element("div", "links");
  for (const [text, address] of [["Runbook", runbook], ["Dashboard", dashboard], ["Query", row.generator_url]]) {
    const anchor = address ? link(text, address) : null;
    if (anchor) links.append(anchor);
    else if (address && text !== "Query") links.append(element("span", "", `${text}: ${address}`));
  }
  if (links.childElementCount) made.append(links);
  return made;
}

function fill(id, rows, shown, nothing) {
  byId(`${id}-count`).textContent = rows.length ? String(rows.length) : "";
  const cards = rows.slice(0, shown).map(card);
  if (!rows.length) cards.push(element("p", "empty", nothing));
  if (rows.length > shown) cards.push(element("p", "empty", `and ${rows.length - shown} more: /api/alerts has them all`));
  byId(id).replaceChildren(...cards);
}

function tile(kind, value, text, name) {
  const made = element("div", `tile ${kind}`);
  made.dataset.tile = name;
  made.append(element("b", "", value), element("span", "", text));
  return made;
}

function tiles(firing) {
  const made = SEVERITIES.map((severity) => {
    const count = firing.filter((row) => row.labels.severity === severity).length;
    return tile(count ? severity : "", String(count), severity, severity);
  });
  const beat = state.alerts.find((row) => row.alertname === WATCHDOG);
  if (!beat) made.push(tile("", "–", "dead man's switch: not heard yet", "watchdog"));
  else {
    const age = state.now - beat.received_at;
    const overdue = age > state.watchdogTimeout || beat.status === "resolved";
    const text = overdue ? "dead man's switch overdue: alerts may not arrive" : "since the dead man's switch";
    made.push(tile(overdue ? "critical" : "good", span(age < 60 ? age : age - (age % 60)), text, "watchdog"));
  }
  byId("tiles").replaceChildren(...made);
}

function logLine(row) {
  const item = element("li");
  item.dataset.id = row.id;
  item.append(element("time", "", clock(row.received_at)));
  item.append(element("span", `tag ${row.status === "resolved" ? "resolved" : severityOf(row)}`, row.status === "resolved" ? "cleared" : "firing"));
  const about = ["queue", "task"].filter((name) => row.labels[name]).map((name) => `${name} ${row.labels[name]}`);
  item.append(element("span", "what", [row.alertname, ...about, row.annotations.summary].filter(Boolean).join(" · ")));
  return item;
}

function refresh() {
  const firing = state.alerts.filter((row) => row.alertname !== WATCHDOG && row.status === "firing");
  tiles(firing);
  document.title = firing.length ? `(${firing.length}) Alert inbox` : "Alert inbox";
  for (const [shown, row] of ages) shown.textContent = since(row);
}

function render() {
  ages = [];
  refresh();
  const alerts = state.alerts.filter((row) => row.alertname !== WATCHDOG);
  const firing = alerts.filter((row) => row.status === "firing");
  firing.sort((a, b) => rank(a) - rank(b) || b.starts_at - a.starts_at);
  const cleared = alerts.filter((row) => row.status === "resolved");
  const filtered = byId("search").value || byId("severity").value;
  fill("firing", firing.filter(wanted), firing.length, filtered ? "No firing alert matches the filter." : "Nothing is firing.");
  fill("cleared", cleared.filter(wanted), CLEARED_LENGTH, filtered ? "No cleared alert matches the filter." : "Nothing has fired and cleared yet.");
  // The dead man's switch comes again and again: its tile tells of it, and the list is for what is news.
  byId("log").replaceChildren(...state.log.filter((row) => row.alertname !== WATCHDOG && wanted(row)).slice(0, LOG_LENGTH).map(logLine));
}

function connected(good, text) {
  byId("link").className = good ? "pill good" : "pill critical";
  byId("link").textContent = text;
}

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function update() {
  try {
    const before = state.after;
    let news = await get(`/api/notifications?after=${state.after}&limit=5000`);
    if (news.last_id < state.after) { // another database: begin anew
      state.log = [];
      news = await get("/api/notifications?after=0&limit=5000");
    }
    const { alerts, now, watchdog_timeout: timeout } = await get("/api/alerts");
    state.after = news.last_id;
    state.log = [...news.notifications.reverse(), ...state.log].slice(0, 500);
    Object.assign(state, { alerts, now, watchdogTimeout: timeout });
    if (state.after === before && document.documentElement.dataset.ready) refresh();
    else render();
    connected(true, "live");
    document.documentElement.dataset.ready = "true";
    document.documentElement.dataset.lastId = String(state.after);
  } catch {
    connected(false, "not connected");
    document.documentElement.dataset.ready = "false";
  }
  setTimeout(update, EVERY_MS);
}

byId("search").addEventListener("input", render);
byId("severity").addEventListener("change", render);
update();
