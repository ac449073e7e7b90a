"use strict";
// Pages are complete without this script. It draws charts that can be read with
// the pointer, and takes in what is new.
(function () {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue("--" + name).trim() || style.getPropertyValue("--fg").trim();

  function draw(figure) {
    const labels = JSON.parse(figure.dataset.labels);
    const series = JSON.parse(figure.dataset.series);
    if (labels.length < 2 || typeof uPlot !== "function") {
      return;
    }
    const box = document.createElement("div");
    figure.append(box);
    const label = (i) => (labels[i] === undefined ? "" : labels[i]);
    const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line") } };
    new uPlot({
      width: figure.clientWidth,
      height: 200,
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false } },
      axes: [
        Object.assign({ values: (u, ticks) => ticks.map((t) => (Number.isInteger(t) ? label(t) : "")) }, axis),
        Object.assign({ size: 60 }, axis),
      ],
      series: [{ label: "", value: (u, v) => (v === null ? "" : label(v)) }].concat(
        series.map((s) => ({ label: s.Name, stroke: color(s.Name), fill: color(s.Name) + "44", paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }))),
    }, [labels.map((_, i) => i)].concat(series.map((s) => s.Values)), box);
    figure.classList.add("drawn");
  }
  const drawAll = () => document.querySelectorAll("figure.chart").forEach(draw);
  drawAll();

  const status = document.getElementById("live");
  const say = (text) => { if (status) { status.textContent = text; } };
  let busy = false;

  async function renew() {
    const main = document.querySelector("main");
    if (busy || !main || main.contains(document.activeElement) && document.activeElement.tagName === "INPUT") {
      return; // nobody's typing is thrown away
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        main.replaceWith(page.querySelector("main"));
        document.title = page.title;
        drawAll();
        say("live, " + new Date().toLocaleTimeString());
      }
    } finally {
      busy = false;
    }
  }

  if ((location.pathname === "/" || location.pathname === "/events") && typeof EventSource === "function") {
    const source = new EventSource("/live");
    source.addEventListener("open", () => say("live"));
    source.addEventListener("update", renew);
    source.addEventListener("error", () => say("not connected"));
  }
})();
