// Keeps the page's numbers up to date: asks the server every two seconds while someone looks.
"use strict";

const EVERY = 2000; // milliseconds
const KEPT = 150; // points in the chart, at most
const FEWEST = 30; // points that it is wide, at least
const NOTHING = "\u2013";
const WIDTH = 1000;
const HEIGHT = 150;
const SVG = "http://www.w3.org/2000/svg";

const history = new Map(); // model -> [{p50, p99, target}]
let last = null;

function digits(number) {
  if (number === 0) return "0";
  return number >= 100 ? Math.round(number).toLocaleString("en") : number.toFixed(number >= 10 ? 1 : 2);
}

function seconds(value) {
  if (value === null) return NOTHING;
  for (const [factor, unit] of [[1e6, "µs"], [1e3, "ms"]]) {
    const number = Number((value * factor).toPrecision(3));
    if (number < 1000) return `${digits(number)} ${unit}`;
  }
  return `${digits(value)} s`;
}

// The smallest of 1, 2 and 5 times a power of ten that is not below `rough`.
function step(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((digit) => digit * power).find((value) => value >= rough * (1 - 1e-9));
}

function put(section, name, text) {
  const place = section.querySelector(`[data-value="${name}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

function showModel(section, model) {
  put(section, "rate", Number(model.rate.toPrecision(3)).toLocaleString("en"));
  for (const [name, value] of Object.entries(model.latency)) put(section, name, seconds(value));
  put(section, "in-flight", model.inFlight.toLocaleString("en"));
  put(section, "waiting", model.waiting.toLocaleString("en"));
  put(section, "refused", (model.outcomes.refused + model.outcomes.overloaded).toLocaleString("en"));
  put(section, "failed", model.outcomes.failed.toLocaleString("en"));
  showBadge(section, model.objective);
  const points = history.get(model.name) || [];
  points.push({ ...model.latency, target: model.objective ? model.objective.latency : null });
  history.set(model.name, points.slice(-KEPT));
  drawLatency(section, history.get(model.name));
}

function showBadge(section, objective) {
  const known = objective && objective.latency !== null && objective.observed !== null;
  const held = known && objective.observed <= objective.latency;
  put(section, "held", known ? (held ? "objective held" : "objective missed") : "");
  const badge = section.querySelector('[data-value="held"]');
  badge.classList.toggle("yes", Boolean(known && held));
  badge.classList.toggle("no", Boolean(known && !held));
}

function shape(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

function drawLatency(section, points) {
  const chart = section.querySelector('[data-chart="latency"]');
  const seen = points.filter((point) => point.p99 !== null);
  chart.closest("figure").hidden = seen.length < 2;
  if (seen.length < 2) return;
  const target = points[points.length - 1].target;
  const highest = Math.max(...seen.map((point) => point.p99));
  // A target far above what is seen is named, but does not flatten the lines.
  const shown = target !== null && target <= highest * 4 ? target : null;
  const top = Math.max(highest, shown || 0) * 1.1;
  const left = 78, right = WIDTH - 6, bottom = HEIGHT - 8;
  const wide = Math.max(points.length, FEWEST) - 1;
  const x = (index) => right - ((points.length - 1 - index) * (right - left)) / wide;
  const y = (value) => bottom - (value / top) * (bottom - 12);
  const fresh = [];
  const grid = shape("g", { class: "grid" });
  for (let value = 0; value <= top; value += step(top / 3)) {
    grid.append(shape("path", { d: `M${left} ${y(value).toFixed(1)}H${right}` }));
    grid.append(shape("text", { x: left - 8, y: y(value) + 4, class: "note end" }, value ? seconds(value) : "0"));
  }
  fresh.push(grid);
  if (shown !== null) {
    fresh.push(shape("path", { d: `M${left} ${y(target).toFixed(1)}H${right}`, class: "target" }));
    fresh.push(shape("text", { x: left + 8, y: y(target) - 5, class: "note" }, `objective ${seconds(target)}`));
  }
  for (const name of ["p50", "p99"]) {
    let path = "", pen = "M";
    points.forEach((point, index) => {
      if (point[name] === null) { pen = "M"; return; }
      path += `${pen}${x(index).toFixed(1)} ${y(point[name]).toFixed(1)}`;
      pen = "L";
    });
    fresh.push(shape("path", { d: path, class: name }));
  }
  chart.replaceChildren(chart.querySelector("title"), ...fresh);
}

function showLanes(now) {
  const span = last ? now.clock - last.clock : 0;
  for (const row of document.querySelectorAll("[data-lane]")) {
    const lane = row.dataset.lane;
    const busy = now.lanes[lane] || 0;
    row.querySelector("[data-busy-seconds]").textContent = seconds(busy);
    if (span <= 0) continue;
    const part = Math.min(Math.max((busy - (last.lanes[lane] || 0)) / span, 0), 1);
    row.querySelector("progress").value = part;
    row.querySelector("[data-busy] span").textContent = `${Math.round(part * 100)} %`;
  }
}

// What the server has drawn is drawn again when this changes.
function drawn(now) {
  return JSON.stringify([Object.keys(now.lanes), now.models.map((model) => [model.name, model.plans, model.moves, model.stale, model.objective && [model.objective.latency, model.objective.percentile]])]);
}

async function redraw() {
  const answer = await fetch("./", { cache: "no-store" });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const open = [...document.querySelectorAll("details")].map((one) => one.open);
  fresh.querySelectorAll("details").forEach((one, index) => { one.open = Boolean(open[index]); });
  document.querySelector("main").replaceWith(fresh);
}

async function look() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("page/now.json", { cache: "no-store" });
    const now = await answer.json();
    if (last && drawn(last) !== drawn(now)) await redraw();
    for (const section of document.querySelectorAll("[data-model]")) {
      const model = now.models.find((one) => one.name === section.dataset.model);
      if (model) showModel(section, model);
    }
    showLanes(now);
    last = now;
    state.textContent = now.ready ? "ready" : "shutting down";
    state.classList.toggle("lost", !now.ready);
  } catch {
    state.textContent = "no answer";
    state.classList.add("lost");
  }
}

async function keepLooking() {
  if (document.visibilityState === "visible") await look();
  setTimeout(keepLooking, EVERY);
}

keepLooking();
