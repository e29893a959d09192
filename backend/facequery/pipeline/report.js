"use strict";
// Every plot carries its numbers in data-plot; the pointer's place says which frame is told of.
for (const plot of document.querySelectorAll(".plot")) {
  const data = JSON.parse(plot.dataset.plot);
  const svg = plot.querySelector("svg"), cross = plot.querySelector(".cross"), tip = plot.querySelector(".tip");
  const hide = () => { cross.style.visibility = tip.style.visibility = "hidden"; };
  const show = (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * data.size[0];
    let nearest = 0;
    data.x.forEach((place, index) => {
      if (Math.abs(place - x) < Math.abs(data.x[nearest] - x)) nearest = index;
    });
    const lines = data.series.map((one) => {
      const value = one.values[nearest];
      return one.name + " " + (value === null ? "-" : value.toPrecision(3)) + " " + data.unit;
    });
    const state = data.states[nearest] === "good" ? "" : "\n" + data.states[nearest];
    tip.textContent = "frame " + data.frames[nearest] + "\n" + lines.join("\n") + state;
    cross.setAttribute("x1", data.x[nearest]);
    cross.setAttribute("x2", data.x[nearest]);
    const left = box.left - plot.getBoundingClientRect().left + data.x[nearest] / data.size[0] * box.width;
    const flip = left > box.width * 0.75;
    tip.style.left = flip ? "auto" : left + 10 + "px";
    tip.style.right = flip ? plot.clientWidth - left + 10 + "px" : "auto";
    tip.style.top = "26px";
    cross.style.visibility = tip.style.visibility = "visible";
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerleave", hide);
}
