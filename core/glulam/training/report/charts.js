"use strict";
(() => {
  const plots = [...document.querySelectorAll("figure .plot")];
  const config = { responsive: true, displayModeBar: false, doubleClick: false, showTips: false };
  for (const plot of plots) {
    const { data, layout } = JSON.parse(plot.parentElement.querySelector("script").textContent);
    Plotly.newPlot(plot, data, layout, config);
  }
  // A chart follows its column, also where no window was resized: a phone that is turned, a narrow frame.
  let printing = false;
  const observer = new ResizeObserver((entries) => {
    if (printing) return;
    for (const { target } of entries) {
      // Not Plotly.Plots.resize, which waits: the chart fits when the page is painted.
      if (Math.abs(target.clientWidth - target._fullLayout.width) > 1) Plotly.relayout(target, { width: target.clientWidth });
    }
  });
  for (const plot of plots) observer.observe(plot);
  // Paper has a width of its own: the printed column of an A4 page is 680 CSS pixels wide.
  const closed = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    for (const each of document.querySelectorAll("details:not([open])")) {
      closed.push(each);
      each.open = true;
    }
    for (const plot of plots) Plotly.relayout(plot, { width: plot.closest(".pair") ? 328 : 676 });
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const each of closed.splice(0)) each.open = false;
    for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
  });
})();
