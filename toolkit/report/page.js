"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (at) => style(`--c${at % 8}`);

  // The chart: one group of traces a device, told by its meta; coloured as the page is.
  const chart = document.getElementById("chart");
  const chartForm = document.getElementById("chart-filter");
  const figure = JSON.parse(document.getElementById("chart-data").textContent);

  function shown(trace) {
    const boxes = [...chartForm.querySelectorAll("input[name=device]")];
    const isChosen = boxes.some((box) => box.checked && box.value === trace.meta.device);
    return isChosen && (trace.meta.inside || chartForm.elements.inside.value === "");
  }

  function paint() {
    for (const trace of figure.data) {
      trace.visible = shown(trace);
      const own = colour(trace.meta.colour);
      if (trace.line) trace.line.color = own;
      if (trace.marker) trace.marker.color = own;
      if (trace.meta.part === "pick") trace.marker.line.color = own;
    }
    const axis = { gridcolor: style("--line"), linecolor: style("--line"), zeroline: false, automargin: true };
    Object.assign(figure.layout, {
      modebar: { bgcolor: "transparent", color: style("--dim"), activecolor: style("--ink") },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { color: style("--ink"), family: "system-ui, sans-serif", size: 13 },
      xaxis: { ...figure.layout.xaxis, ...axis },
      yaxis: { ...figure.layout.yaxis, ...axis },
      hoverlabel: {
        ...figure.layout.hoverlabel,
        bgcolor: style("--raised"), bordercolor: style("--dim"), font: { color: style("--ink"), size: 13 },
      },
    });
    for (const swatch of document.querySelectorAll(".swatch")) {
      swatch.style.background = colour(Number(swatch.dataset.colour));
    }
    return Plotly.react(chart, figure.data, figure.layout, {
      responsive: true, displaylogo: false, showSendToCloud: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  }

  chartForm.addEventListener("change", paint);
  chartForm.addEventListener("submit", (event) => event.preventDefault());
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", paint);
  }
  paint();

  // The cost tables: filtered together, each sorted by itself.
  const layerForm = document.getElementById("layer-filter");
  const tables = [...document.querySelectorAll(".layers")];

  function filterLayers() {
    const { device, kind, text } = Object.fromEntries(
      ["device", "kind", "text"].map((name) => [name, layerForm.elements[name].value.trim().toLowerCase()]),
    );
    let count = 0;
    let total = 0;
    for (const table of tables) {
      table.hidden = device !== "" && table.dataset.device.toLowerCase() !== device;
      if (table.hidden) continue;
      for (const row of table.querySelectorAll("tbody tr")) {
        const hasText = `${row.cells[0].textContent} ${row.dataset.note}`.toLowerCase().includes(text);
        row.hidden = !hasText || (kind !== "" && row.dataset.kind !== kind);
        total += 1;
        count += row.hidden ? 0 : 1;
      }
    }
    layerForm.elements.count.value = `${count} of ${total} layers`;
  }

  function sortTable(table, column, head) {
    const isDown = head.getAttribute("aria-sort") === "ascending";
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    const sign = isDown ? -1 : 1;
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const compare = (a, b) => {
      const [one, other] = [key(a), key(b)];
      if (one === "" || other === "") return (one === "") - (other === ""); // unknown figures stay at the end
      return sign * (head.classList.contains("number") ? one - other : one.localeCompare(other, "en", { numeric: true }));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortTable(table, column, head));
      head.append(button);
    });
  }
  layerForm.addEventListener("input", filterLayers);
  layerForm.addEventListener("submit", (event) => event.preventDefault());
  filterLayers();
})();
