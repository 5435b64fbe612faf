// Numbers and elements as people read them; used by the page and by the report.
'use strict';

const Format = {
  count: (value) => Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–',
  percent: (value, digits = 1) => Number.isFinite(value) ? (100 * value).toFixed(digits) + ' %' : '–',
  fixed: (value, digits) => Number.isFinite(value) ? value.toFixed(digits) : '–',
  megabits: (value) => Number.isFinite(value) && value > 0 ? (value * 8e-6).toFixed(value * 8e-6 < 10 ? 1 : 0) : '–',
  // "0:21", "1:02:03"
  duration(seconds) {
    if (!Number.isFinite(seconds)) return '–';
    const whole = Math.round(seconds);
    const two = (value) => String(value).padStart(2, '0');
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    return (hours > 0 ? hours + ':' + two(minutes) : minutes) + ':' + two(whole % 60);
  },
};

// An element with text, which is never taken for markup, and children.
function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  if (options.text !== undefined) made.textContent = options.text;
  if (options.class) made.className = options.class;
  for (const [name, value] of Object.entries(options.attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Sets text only where it changed: the browser lays out nothing for the rest.
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Likewise.
function setClass(target, name) {
  if (target.className !== name) target.className = name;
}

// Okabe and Ito's colours, which colour-blind people tell apart, then turned hues.
const Palette = ['#0072b2', '#d55e00', '#009e73', '#b8589a', '#8a6d00', '#2f8fd0', '#7a4fbf', '#a33b3b', '#3d7a4a', '#606c7a', '#bb6b00', '#1f6f78'];
const colorOf = (node) => Palette[(node - 1) % Palette.length];
